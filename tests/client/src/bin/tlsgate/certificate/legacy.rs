//! Puts a key into a `CryptoAPI` container and ties a certificate to it: the way for systems whose
//! PKCS#12 import takes no keys for CNG.

use super::{check, store::StoredCertificate, wide};
use std::{io, ptr};
use tlsgate::Thumbprint;
use windows_sys::Win32::Security::Cryptography::{
    AT_KEYEXCHANGE, CERT_KEY_PROV_INFO_PROP_ID, CRYPT_EXPORTABLE, CRYPT_KEY_PROV_INFO,
    CRYPT_MACHINE_KEYSET, CRYPT_NEWKEYSET, CertSetCertificateContextProperty, CryptAcquireContextW,
    CryptDestroyKey, CryptImportKey, CryptReleaseContext, MS_ENH_RSA_AES_PROV_W, PROV_RSA_AES,
};

/// The certificate, with its key (a `PRIVATEKEYBLOB`) in a container of the machine.
pub fn certificate(
    der: &[u8],
    thumbprint: Thumbprint,
    blob: &[u8],
    exportable: bool,
) -> io::Result<StoredCertificate> {
    let container = wide(&format!("TlsGate-{thumbprint}"));
    fill(&container, blob, exportable)?;
    let certificate = StoredCertificate::parse(der)?;
    let info = CRYPT_KEY_PROV_INFO {
        pwszContainerName: container.as_ptr().cast_mut(),
        pwszProvName: MS_ENH_RSA_AES_PROV_W.cast_mut(),
        dwProvType: PROV_RSA_AES,
        dwFlags: CRYPT_MACHINE_KEYSET,
        cProvParam: 0,
        rgProvParam: ptr::null_mut(),
        dwKeySpec: AT_KEYEXCHANGE,
    };
    // SAFETY: the context is alive; the structure and its names are copied.
    check(unsafe {
        CertSetCertificateContextProperty(
            certificate.context(),
            CERT_KEY_PROV_INFO_PROP_ID,
            0,
            (&raw const info).cast(),
        )
    })?;
    Ok(certificate)
}

/// Makes the container and imports the key; it is written out when the provider is released.
fn fill(container: &[u16], blob: &[u8], exportable: bool) -> io::Result<()> {
    let length = u32::try_from(blob.len()).map_err(io::Error::other)?;
    let (mut provider, mut key) = (0, 0);
    // SAFETY: both names are terminated.
    check(unsafe {
        CryptAcquireContextW(
            &raw mut provider,
            container.as_ptr(),
            MS_ENH_RSA_AES_PROV_W,
            PROV_RSA_AES,
            CRYPT_NEWKEYSET | CRYPT_MACHINE_KEYSET,
        )
    })?;
    let flags = if exportable { CRYPT_EXPORTABLE } else { 0 };
    // SAFETY: the provider is open and the blob is as long as it is said to be.
    let imported =
        check(unsafe { CryptImportKey(provider, blob.as_ptr(), length, 0, flags, &raw mut key) });
    if imported.is_ok() {
        // SAFETY: the key is open; this closes the handle, not the key in the container.
        unsafe { CryptDestroyKey(key) };
    }
    // SAFETY: the provider is open.
    let released = check(unsafe { CryptReleaseContext(provider, 0) });
    imported.and(released)
}
