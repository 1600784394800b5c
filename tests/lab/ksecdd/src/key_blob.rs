//! An RSA key as `CryptoAPI` exports it (`PRIVATEKEYBLOB`: "Base Provider Key BLOBs",
//! MicrosoftDocs/win32), turned into PKCS #1.

use pkcs1::{RsaPrivateKey, UintRef, der::Encode};
use rustls::pki_types::PrivatePkcs1KeyDer;

const PRIVATEKEYBLOB: u8 = 7;
const CUR_BLOB_VERSION: u8 = 2;
/// `BLOBHEADER`.
const BLOB_HEADER: usize = 8;
/// `RSAPUBKEY`.
const RSA_PUBLIC_KEY: usize = 12;

/// The PKCS #1 form of `blob`, unless that is no RSA key.
pub fn to_pkcs1(blob: &[u8]) -> Option<PrivatePkcs1KeyDer<'static>> {
    let (header, rest) = blob.split_at_checked(BLOB_HEADER)?;
    let (public, numbers) = rest.split_at_checked(RSA_PUBLIC_KEY)?;
    if header[..2] != [PRIVATEKEYBLOB, CUR_BLOB_VERSION] || &public[..4] != b"RSA2" {
        return None;
    }
    let bits = u32::from_le_bytes(public[4..8].try_into().ok()?) as usize;
    let exponent = public[8..12].iter().rev().copied().collect::<Vec<_>>();
    let mut numbers = Numbers(numbers);
    let modulus = numbers.take(bits / 8)?;
    let [prime1, prime2, exponent1, exponent2, coefficient] = [
        numbers.take(bits / 16)?,
        numbers.take(bits / 16)?,
        numbers.take(bits / 16)?,
        numbers.take(bits / 16)?,
        numbers.take(bits / 16)?,
    ];
    let private_exponent = numbers.take(bits / 8)?;
    let key = RsaPrivateKey {
        modulus: UintRef::new(&modulus).ok()?,
        public_exponent: UintRef::new(&exponent).ok()?,
        private_exponent: UintRef::new(&private_exponent).ok()?,
        prime1: UintRef::new(&prime1).ok()?,
        prime2: UintRef::new(&prime2).ok()?,
        exponent1: UintRef::new(&exponent1).ok()?,
        exponent2: UintRef::new(&exponent2).ok()?,
        coefficient: UintRef::new(&coefficient).ok()?,
        other_prime_infos: None,
    };
    Some(PrivatePkcs1KeyDer::from(key.to_der().ok()?))
}

/// Little-endian numbers one after the other.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    /// The next number, big-endian.
    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let (number, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(number.iter().rev().copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::{bn::BigNumRef, rsa::Rsa};

    fn number(value: &BigNumRef, length: usize) -> Vec<u8> {
        let length = i32::try_from(length).unwrap();
        value
            .to_vec_padded(length)
            .unwrap()
            .into_iter()
            .rev()
            .collect()
    }

    #[test]
    fn blob_of_an_openssl_key_becomes_that_key() {
        let key = Rsa::generate(2048).unwrap();
        let mut blob = vec![7, 2, 0, 0, 0, 0xa4, 0, 0];
        blob.extend(b"RSA2");
        blob.extend(2048u32.to_le_bytes());
        blob.extend(number(key.e(), 4));
        blob.extend(number(key.n(), 256));
        for part in [key.p(), key.q(), key.dmp1(), key.dmq1(), key.iqmp()] {
            blob.extend(number(part.unwrap(), 128));
        }
        blob.extend(number(key.d(), 256));
        let made = to_pkcs1(&blob).unwrap();
        assert_eq!(made.secret_pkcs1_der(), key.private_key_to_der().unwrap());
        for cut in 0..blob.len() {
            assert!(to_pkcs1(&blob[..cut]).is_none());
        }
    }
}
