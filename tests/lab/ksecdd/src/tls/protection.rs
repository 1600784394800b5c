//! One direction's keys, and the protection of single records in place
//! (RFC 8446, section 5.2; RFC 5288; RFC 7905).
//!
//! SSPI seals and unseals where the bytes lie and hands post-handshake messages back to the
//! caller, which no TLS library's own record layer does.

use super::record::{APPLICATION_DATA, HEADER, MAX_PLAINTEXT, header};
use ring::aead::{
    AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce,
    UnboundKey,
};
use rustls::{ConnectionTrafficSecrets, ProtocolVersion};
use std::ops::Range;

/// Bytes of authentication tag of every suite in use.
const TAG: usize = 16;

/// Bytes of nonce that a TLS 1.2 AES-GCM record carries.
const EXPLICIT_NONCE: usize = 8;

/// One direction's keys.
pub struct Protection {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    sequence: u64,
    form: Form,
}

/// How a record is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// TLS 1.3: the content type is encrypted behind the content.
    Tls13,
    /// TLS 1.2 with AES-GCM: eight bytes of nonce in front of the content.
    Tls12Explicit,
    /// TLS 1.2 with ChaCha20-Poly1305.
    Tls12Implicit,
}

/// A record that was not what its sender sealed, that is too long, or that no keys are left for.
#[derive(Debug, PartialEq, Eq)]
pub struct Altered;

/// An opened record.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its true content type.
    pub content: u8,
    /// Where in the record its content lies.
    pub plaintext: Range<usize>,
}

impl Protection {
    /// Makes one direction's protection from what rustls extracted: sequence number and secrets.
    ///
    /// # Panics
    ///
    /// The secrets are of a suite that ring has not, and that no configuration here allows.
    pub fn new(
        version: ProtocolVersion,
        (sequence, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Self {
        let (algorithm, key, iv): (&'static Algorithm, _, _) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => unreachable!("ring's suites are the three above"),
        };
        let form = if version == ProtocolVersion::TLSv1_3 {
            Form::Tls13
        } else if algorithm == &CHACHA20_POLY1305 {
            Form::Tls12Implicit
        } else {
            Form::Tls12Explicit
        };
        let key = UnboundKey::new(algorithm, key.as_ref()).expect("rustls sizes keys by the suite");
        let iv = iv
            .as_ref()
            .try_into()
            .expect("every suite's IV is as long as a nonce");
        Self {
            key: LessSafeKey::new(key),
            iv,
            sequence,
            form,
        }
    }

    /// Bytes in front of the content.
    pub fn header(&self) -> usize {
        HEADER
            + if self.form == Form::Tls12Explicit {
                EXPLICIT_NONCE
            } else {
                0
            }
    }

    /// Bytes behind the content.
    pub fn trailer(&self) -> usize {
        TAG + usize::from(self.form == Form::Tls13)
    }

    /// Seals `record`, whose content lies between header and trailer.
    pub fn seal(&mut self, content: u8, record: &mut [u8]) -> Result<(), Altered> {
        let fragment = record.len() - HEADER;
        let outer = if self.form == Form::Tls13 {
            APPLICATION_DATA
        } else {
            content
        };
        record[..HEADER].copy_from_slice(&header(outer, fragment));
        let nonce = self.counted_nonce();
        if self.form == Form::Tls12Explicit {
            record[HEADER..self.header()].copy_from_slice(&nonce[NONCE_LEN - EXPLICIT_NONCE..]);
        }
        let tag_at = record.len() - TAG;
        if self.form == Form::Tls13 {
            record[tag_at - 1] = content;
        }
        let aad = self.associated(outer, tag_at - self.header(), fragment);
        let start = self.header();
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                &mut record[start..tag_at],
            )
            .map_err(|_| Altered)?;
        record[tag_at..].copy_from_slice(tag.as_ref());
        self.sequence += 1;
        Ok(())
    }

    /// Opens `record` where it lies.
    pub fn open(&mut self, record: &mut [u8]) -> Result<Opened, Altered> {
        let (start, fragment) = (self.header(), record.len() - HEADER);
        let length = record.len().checked_sub(start + TAG).ok_or(Altered)?;
        let outer = record[0];
        if self.form == Form::Tls13 && outer != APPLICATION_DATA {
            return Err(Altered);
        }
        let mut nonce = self.counted_nonce();
        if self.form == Form::Tls12Explicit {
            nonce[NONCE_LEN - EXPLICIT_NONCE..].copy_from_slice(&record[HEADER..start]);
        }
        let mut aad = self.associated(outer, length, fragment);
        if self.form != Form::Tls13 {
            // The version that the record has (RFC 5246, section 6.2.3.3).
            aad.bytes[9..11].copy_from_slice(&record[1..3]);
        }
        let plaintext = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                &mut record[start..],
            )
            .map_err(|_| Altered)?;
        self.sequence += 1;
        // TLS 1.3 counts the content type (RFC 8446, section 5.4).
        if plaintext.len() > MAX_PLAINTEXT + usize::from(self.form == Form::Tls13) {
            return Err(Altered);
        }
        if self.form != Form::Tls13 {
            return Ok(Opened {
                content: outer,
                plaintext: start..start + plaintext.len(),
            });
        }
        // Zeros pad, the last byte that is none is the content type (RFC 8446, section 5.4).
        let last = plaintext
            .iter()
            .rposition(|&byte| byte != 0)
            .ok_or(Altered)?;
        Ok(Opened {
            content: plaintext[last],
            plaintext: start..start + last,
        })
    }

    fn counted_nonce(&self) -> [u8; NONCE_LEN] {
        let mut nonce = self.iv;
        for (byte, count) in nonce[NONCE_LEN - 8..]
            .iter_mut()
            .zip(self.sequence.to_be_bytes())
        {
            *byte ^= count;
        }
        nonce
    }

    /// The additional data: the header alone in TLS 1.3, sequence number and true length before.
    fn associated(&self, outer: u8, length: usize, fragment: usize) -> Associated {
        let mut bytes = [0; 13];
        if self.form == Form::Tls13 {
            bytes[..HEADER].copy_from_slice(&header(outer, fragment));
            return Associated {
                bytes,
                length: HEADER,
            };
        }
        bytes[..8].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[8..].copy_from_slice(&header(outer, length));
        Associated { bytes, length: 13 }
    }
}

struct Associated {
    bytes: [u8; 13],
    length: usize,
}

impl AsRef<[u8]> for Associated {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::cipher::{AeadKey, Iv};

    const VERSIONS: [ProtocolVersion; 2] = [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3];

    fn protection(version: ProtocolVersion) -> Protection {
        let secrets = ConnectionTrafficSecrets::Chacha20Poly1305 {
            key: AeadKey::from([7; 32]),
            iv: Iv::from([8; NONCE_LEN]),
        };
        Protection::new(version, (0, secrets))
    }

    fn sealed(version: ProtocolVersion, length: usize) -> Vec<u8> {
        let mut sealing = protection(version);
        let mut record = vec![0; sealing.header() + length + sealing.trailer()];
        sealing.seal(APPLICATION_DATA, &mut record).unwrap();
        record
    }

    #[test]
    fn no_record_with_more_than_one_may_hold_is_opened() {
        for version in VERSIONS {
            let mut longest = sealed(version, MAX_PLAINTEXT);
            let opened = protection(version).open(&mut longest).unwrap();
            assert_eq!(opened.plaintext.len(), MAX_PLAINTEXT);
            let mut longer = sealed(version, MAX_PLAINTEXT + 1);
            assert_eq!(protection(version).open(&mut longer), Err(Altered));
        }
    }

    #[test]
    fn the_version_of_a_record_is_protected_in_tls_1_2() {
        for version in VERSIONS {
            let mut record = sealed(version, 4);
            record[2] ^= 1;
            let opened = protection(version).open(&mut record);
            assert_eq!(opened.is_ok(), version == ProtocolVersion::TLSv1_3);
        }
    }
}
