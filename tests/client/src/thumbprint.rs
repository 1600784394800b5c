//! The name of a certificate in a store: the SHA-1 of its DER.

use crate::Error;
use sha1::{Digest, Sha1};
use std::{fmt, str::FromStr};

/// SHA-1 of a certificate's DER. It identifies, it does not protect: Windows stores are indexed by
/// it (`CERT_SHA1_HASH_PROP_ID`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thumbprint(pub [u8; 20]);

impl Thumbprint {
    /// The thumbprint of this certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self(Sha1::digest(der).into())
    }
}

/// Reads 40 hexadecimal digits; the spaces and colons that other tools print are skipped, and so is
/// the invisible mark that the certificate dialog of Windows puts in front of a copied thumbprint.
impl FromStr for Thumbprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits: Vec<u8> = text
            .chars()
            .filter(|char| !matches!(char, ' ' | ':' | '\u{200e}'))
            .map(|char| char.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect::<Option<_>>()
            .ok_or(Error::Thumbprint)?;
        if digits.len() != 40 {
            return Err(Error::Thumbprint);
        }
        let mut bytes = [0; 20];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair.iter().fold(0, |value, digit| (value << 4) | digit);
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_prints() {
        let thumbprint = Thumbprint::of(b"certificate");
        assert_eq!(
            thumbprint.to_string().parse::<Thumbprint>().unwrap(),
            thumbprint
        );
    }

    #[test]
    fn reads_what_other_tools_print() {
        let plain: Thumbprint = "A9993E364706816ABA3E25717850C26C9CD0D89D".parse().unwrap();
        assert_eq!(plain, Thumbprint::of(b"abc"));
        for other in [
            "a9:99:3e:36:47:06:81:6a:ba:3e:25:71:78:50:c2:6c:9c:d0:d8:9d",
            "\u{200e}a9 99 3e 36 47 06 81 6a ba 3e 25 71 78 50 c2 6c 9c d0 d8 9d",
        ] {
            assert_eq!(other.parse::<Thumbprint>().unwrap(), plain);
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "A999",
            "A9993E364706816ABA3E25717850C26C9CD0D89",
            &"G".repeat(40),
        ] {
            assert!(
                matches!(text.parse::<Thumbprint>(), Err(Error::Thumbprint)),
                "{text}"
            );
        }
    }
}
