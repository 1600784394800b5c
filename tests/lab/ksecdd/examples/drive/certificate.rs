//! Puts a certificate with its key into the machine's store "MY", the key exportable and in the
//! machine's key set.

use std::{io::Error, ptr};
use windows_sys::{
    Win32::Security::Cryptography::{
        CERT_CONTEXT, CERT_FIND_ANY, CERT_SHA1_HASH_PROP_ID, CERT_STORE_ADD_REPLACE_EXISTING,
        CERT_STORE_PROV_SYSTEM_W, CERT_SYSTEM_STORE_LOCAL_MACHINE, CRYPT_EXPORTABLE,
        CRYPT_INTEGER_BLOB, CRYPT_MACHINE_KEYSET, CertAddCertificateContextToStore, CertCloseStore,
        CertFindCertificateInStore, CertGetCertificateContextProperty, CertOpenStore,
        PFXImportCertStore, X509_ASN_ENCODING,
    },
    core::w,
};

fn checked(done: i32, what: &str) {
    assert!(done != 0, "{what}: {}", Error::last_os_error());
}

/// Imports the PKCS #12 file `pfx`, whose password is empty; the certificate's thumbprint.
pub fn import(pfx: &mut [u8]) -> [u8; 20] {
    let size = u32::try_from(pfx.len()).expect("a small file");
    let blob = CRYPT_INTEGER_BLOB {
        cbData: size,
        pbData: pfx.as_mut_ptr(),
    };
    // SAFETY: the blob is as large as it says, and the password terminated.
    let from = unsafe {
        PFXImportCertStore(
            &raw const blob,
            w!(""),
            CRYPT_EXPORTABLE | CRYPT_MACHINE_KEYSET,
        )
    };
    assert!(
        !from.is_null(),
        "PFXImportCertStore: {}",
        Error::last_os_error()
    );
    // SAFETY: the store is open; this search takes no parameter.
    let found = unsafe {
        CertFindCertificateInStore(
            from,
            X509_ASN_ENCODING,
            0,
            CERT_FIND_ANY,
            ptr::null(),
            ptr::null(),
        )
    };
    assert!(!found.is_null(), "no certificate in the file");
    store(found);
    thumbprint(found)
}

fn store(certificate: *const CERT_CONTEXT) {
    // SAFETY: the name is terminated.
    let store = unsafe {
        CertOpenStore(
            CERT_STORE_PROV_SYSTEM_W,
            0,
            0,
            CERT_SYSTEM_STORE_LOCAL_MACHINE,
            w!("MY").cast(),
        )
    };
    assert!(
        !store.is_null(),
        "CertOpenStore: {}",
        Error::last_os_error()
    );
    // SAFETY: store and certificate are alive.
    let done = unsafe {
        CertAddCertificateContextToStore(
            store,
            certificate,
            CERT_STORE_ADD_REPLACE_EXISTING,
            ptr::null_mut(),
        )
    };
    checked(done, "CertAddCertificateContextToStore");
    // Wine writes a store when it is closed.
    // SAFETY: the store is open, and not used any more.
    let done = unsafe { CertCloseStore(store, 0) };
    checked(done, "CertCloseStore");
}

fn thumbprint(certificate: *const CERT_CONTEXT) -> [u8; 20] {
    let (mut hash, mut length) = ([0; 20], 20);
    // SAFETY: the certificate is alive and the buffer as large as said.
    let done = unsafe {
        CertGetCertificateContextProperty(
            certificate,
            CERT_SHA1_HASH_PROP_ID,
            hash.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    checked(done, "CertGetCertificateContextProperty");
    hash
}
