//! Certificates and their private keys, from the system's stores.

use crate::{
    files::Files,
    key_blob,
    machine::{Key, Wanted},
    tls::{config::Identity, judge::hexadecimal},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::{ffi::c_void, mem::MaybeUninit, path::Path, ptr, slice};
use tlsgate_lab_control::FOLDER;
use windows_sys::Win32::Security::Cryptography::{
    AT_KEYEXCHANGE, AT_SIGNATURE, CERT_CONTEXT, CERT_FIND_SHA1_HASH, CERT_KEY_PROV_INFO_PROP_ID,
    CERT_STORE_OPEN_EXISTING_FLAG, CERT_STORE_PROV_SYSTEM_W, CERT_STORE_READONLY_FLAG,
    CERT_SYSTEM_STORE_CURRENT_USER, CERT_SYSTEM_STORE_LOCAL_MACHINE, CRYPT_INTEGER_BLOB,
    CRYPT_KEY_PROV_INFO, CRYPT_MACHINE_KEYSET, CRYPT_SILENT, CertCloseStore,
    CertEnumCertificatesInStore, CertFindCertificateInStore, CertFreeCertificateContext,
    CertGetCertificateContextProperty, CertOpenStore, CryptAcquireContextW, CryptDestroyKey,
    CryptExportKey, CryptGetUserKey, CryptReleaseContext, HCERTSTORE, PKCS_7_ASN_ENCODING,
    PRIVATEKEYBLOB, X509_ASN_ENCODING,
};

/// The certificate with its private key: the system's, or one that was placed as a file.
pub fn key(wanted: &Wanted) -> Option<Key> {
    let store = Store::open(&wanted.store, wanted.of_machine)?;
    let certificate = store.find(&wanted.thumbprint)?;
    let (thumbprint, files) = (hexadecimal(&wanted.thumbprint), Files(Path::new(FOLDER)));
    let key = if let Some(key) = files.private_key(&thumbprint) {
        key
    } else {
        let blob = certificate.key_blob(wanted.of_machine)?;
        PrivateKeyDer::Pkcs1(key_blob::to_pkcs1(&blob)?)
    };
    let mut chain = vec![certificate.der()];
    chain.extend(files.issuers(&thumbprint));
    Some(Key {
        identity: Identity { chain, key },
        given_to: files.accounts(&thumbprint),
    })
}

/// The machine's trusted roots: the system's, and those that were placed as files.
pub fn roots() -> Vec<CertificateDer<'static>> {
    let mut roots = Store::open("ROOT", true).map_or_else(Vec::new, |store| store.certificates());
    roots.extend(Files(Path::new(FOLDER)).roots());
    roots
}

/// An open store.
struct Store(HCERTSTORE);

impl Store {
    fn open(name: &str, of_machine: bool) -> Option<Self> {
        let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
        let place = if of_machine {
            CERT_SYSTEM_STORE_LOCAL_MACHINE
        } else {
            CERT_SYSTEM_STORE_CURRENT_USER
        };
        // SAFETY: the name is terminated and outlives the call.
        let store = unsafe {
            CertOpenStore(
                CERT_STORE_PROV_SYSTEM_W,
                0,
                0,
                place | CERT_STORE_OPEN_EXISTING_FLAG | CERT_STORE_READONLY_FLAG,
                name.as_ptr().cast(),
            )
        };
        (!store.is_null()).then_some(Self(store))
    }

    fn find(&self, thumbprint: &[u8; 20]) -> Option<Certificate> {
        let hash = CRYPT_INTEGER_BLOB {
            cbData: 20,
            pbData: thumbprint.as_ptr().cast_mut(),
        };
        // SAFETY: the store is open; the function only reads the hash.
        let found = unsafe {
            CertFindCertificateInStore(
                self.0,
                X509_ASN_ENCODING | PKCS_7_ASN_ENCODING,
                0,
                CERT_FIND_SHA1_HASH,
                (&raw const hash).cast(),
                ptr::null(),
            )
        };
        (!found.is_null()).then_some(Certificate(found))
    }

    fn certificates(&self) -> Vec<CertificateDer<'static>> {
        let mut found = Vec::new();
        let mut last = ptr::null();
        loop {
            // SAFETY: the store is open; the function frees the context it goes on from.
            last = unsafe { CertEnumCertificatesInStore(self.0, last) };
            if last.is_null() {
                return found;
            }
            found.push(der(last));
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: the store is open, and closed only here.
        unsafe { CertCloseStore(self.0, 0) };
    }
}

/// A certificate of a store.
struct Certificate(*const CERT_CONTEXT);

impl Certificate {
    fn der(&self) -> CertificateDer<'static> {
        der(self.0)
    }

    /// The private key as `CryptoAPI` exports it.
    fn key_blob(&self, of_machine: bool) -> Option<Vec<u8>> {
        let mut size = 0;
        self.provider(ptr::null_mut(), &mut size)?;
        let count = (size as usize).div_ceil(size_of::<CRYPT_KEY_PROV_INFO>());
        let mut memory = vec![MaybeUninit::<CRYPT_KEY_PROV_INFO>::zeroed(); count];
        self.provider(memory.as_mut_ptr().cast(), &mut size)?;
        // SAFETY: zeroes are a valid value, and the system has written its own over them.
        let provider = unsafe { memory.first()?.assume_init_ref() };
        let container = Provider::acquire(provider, of_machine)?;
        // Wine's PFXImportCertStore names a key of either purpose, 3, which is none there is.
        [AT_KEYEXCHANGE, AT_SIGNATURE]
            .into_iter()
            .filter(|purpose| provider.dwKeySpec & purpose != 0)
            .find_map(|purpose| container.export(purpose))
    }

    fn provider(&self, memory: *mut c_void, size: &mut u32) -> Option<()> {
        // SAFETY: the certificate is alive, and the memory is as large as `size` says.
        let done = unsafe {
            CertGetCertificateContextProperty(self.0, CERT_KEY_PROV_INFO_PROP_ID, memory, size)
        };
        (done != 0).then_some(())
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // SAFETY: the certificate is alive, and freed only here.
        unsafe { CertFreeCertificateContext(self.0) };
    }
}

fn der(certificate: *const CERT_CONTEXT) -> CertificateDer<'static> {
    // SAFETY: the caller has the certificate alive.
    let CERT_CONTEXT {
        pbCertEncoded,
        cbCertEncoded,
        ..
    } = unsafe { *certificate };
    // SAFETY: so many bytes are there as long as the certificate is.
    let bytes = unsafe { slice::from_raw_parts(pbCertEncoded, cbCertEncoded as usize) };
    CertificateDer::from(bytes.to_vec())
}

/// A key container of a provider.
struct Provider(usize);

impl Provider {
    fn acquire(named: &CRYPT_KEY_PROV_INFO, of_machine: bool) -> Option<Self> {
        let machine = if of_machine { CRYPT_MACHINE_KEYSET } else { 0 };
        let flags = named.dwFlags & CRYPT_MACHINE_KEYSET | machine | CRYPT_SILENT;
        let mut provider = 0;
        // SAFETY: the names are the system's own, terminated and alive.
        let done = unsafe {
            CryptAcquireContextW(
                &raw mut provider,
                named.pwszContainerName,
                named.pwszProvName,
                named.dwProvType,
                flags,
            )
        };
        (done != 0).then_some(Self(provider))
    }

    fn export(&self, key_spec: u32) -> Option<Vec<u8>> {
        let mut key = 0;
        // SAFETY: the provider is open.
        let done = unsafe { CryptGetUserKey(self.0, key_spec, &raw mut key) };
        if done == 0 {
            return None;
        }
        let key = KeyHandle(key);
        let mut size = 0;
        key.export(ptr::null_mut(), &mut size)?;
        let mut blob = vec![0; size as usize];
        key.export(blob.as_mut_ptr(), &mut size)?;
        blob.truncate(size as usize);
        Some(blob)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        // SAFETY: the provider is open, and released only here.
        unsafe { CryptReleaseContext(self.0, 0) };
    }
}

/// A private key.
struct KeyHandle(usize);

impl KeyHandle {
    fn export(&self, memory: *mut u8, size: &mut u32) -> Option<()> {
        // SAFETY: the key is alive, and the memory is as large as `size` says.
        let done = unsafe { CryptExportKey(self.0, 0, PRIVATEKEYBLOB, 0, memory, size) };
        (done != 0).then_some(())
    }
}

impl Drop for KeyHandle {
    fn drop(&mut self) {
        // SAFETY: the key is alive, and destroyed only here.
        unsafe { CryptDestroyKey(self.0) };
    }
}
