//! A private key in the form that `CryptoAPI` imports: `PRIVATEKEYBLOB`, as documented in its
//! reference under "RSA/Schannel Key BLOBs".

use anyhow::{Result, ensure};
use rsa::{
    BigUint, RsaPrivateKey,
    traits::{PrivateKeyParts, PublicKeyParts},
};

/// `PRIVATEKEYBLOB`, version 2, two reserved bytes, `CALG_RSA_KEYX`.
const HEADER: [u8; 8] = [7, 2, 0, 0, 0x00, 0xA4, 0, 0];

/// The key as a blob; all numbers are little endian and have a fixed length.
pub fn private_key_blob(key: &RsaPrivateKey) -> Result<Vec<u8>> {
    let bytes = key.size();
    let [p, q] = key.primes() else {
        anyhow::bail!("not a key of two primes")
    };
    let (one, d) = (BigUint::from(1_u8), key.d());
    let inverse = key
        .crt_coefficient()
        .ok_or_else(|| anyhow::anyhow!("not a valid RSA key"))?;

    let mut blob = HEADER.to_vec();
    blob.extend_from_slice(b"RSA2");
    blob.extend_from_slice(&u32::try_from(bytes * 8)?.to_le_bytes());
    number(&mut blob, key.e(), 4)?;
    number(&mut blob, key.n(), bytes)?;
    number(&mut blob, p, bytes / 2)?;
    number(&mut blob, q, bytes / 2)?;
    number(&mut blob, &(d % (p - &one)), bytes / 2)?;
    number(&mut blob, &(d % (q - &one)), bytes / 2)?;
    number(&mut blob, &inverse, bytes / 2)?;
    number(&mut blob, d, bytes)?;
    Ok(blob)
}

fn number(blob: &mut Vec<u8>, value: &BigUint, length: usize) -> Result<()> {
    let mut bytes = value.to_bytes_le();
    ensure!(
        bytes.len() <= length,
        "a number of the key is too long for its field"
    );
    bytes.resize(length, 0);
    blob.extend(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsa::rand_core::OsRng;

    #[test]
    fn the_blob_has_every_number_in_its_place() {
        let key = RsaPrivateKey::new(&mut OsRng, 1024).unwrap();
        let blob = private_key_blob(&key).unwrap();
        assert_eq!(blob.len(), 20 + 128 + 5 * 64 + 128);
        let number = |at: usize, length: usize| BigUint::from_bytes_le(&blob[at..at + length]);
        assert_eq!(blob[8..12], *b"RSA2");
        assert_eq!(number(12, 4), BigUint::from(1024_u32));
        assert_eq!((&number(16, 4), &number(20, 128)), (key.e(), key.n()));
        let (p, q) = (number(148, 64), number(212, 64));
        assert_eq!(&(&p * &q), key.n());
        assert_eq!((number(404, 64) * q) % p, BigUint::from(1_u8));
        assert_eq!(&number(468, 128), key.d());
    }
}
