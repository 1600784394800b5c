//! A certificate store of the machine.

use super::{check, key, legacy, make::Made, wide};
use anyhow::{Context, Result};
use std::{io, ptr, slice};
use tlsgate::Thumbprint;
use windows_sys::Win32::Foundation::{ERROR_SUCCESS, SetLastError};
use windows_sys::Win32::Security::Cryptography::{
    CERT_CONTEXT, CERT_FIND_ANY, CERT_FIND_SHA1_HASH, CERT_NAME_SIMPLE_DISPLAY_TYPE,
    CERT_STORE_ADD_REPLACE_EXISTING, CERT_STORE_CTRL_COMMIT, CERT_STORE_PROV_SYSTEM_W,
    CERT_SYSTEM_STORE_LOCAL_MACHINE, CRYPT_EXPORTABLE, CRYPT_INTEGER_BLOB, CRYPT_MACHINE_KEYSET,
    CertAddCertificateContextToStore, CertCloseStore, CertControlStore,
    CertCreateCertificateContext, CertDeleteCertificateFromStore, CertDuplicateCertificateContext,
    CertFindCertificateInStore, CertFreeCertificateContext, CertGetNameStringW, CertOpenStore,
    HCERTSTORE, PFXImportCertStore, PKCS_7_ASN_ENCODING, PKCS12_ALWAYS_CNG_KSP, X509_ASN_ENCODING,
};

/// An open store.
pub struct Store(HCERTSTORE);

/// A certificate of a store.
pub struct StoredCertificate(*const CERT_CONTEXT);

impl Store {
    /// Opens a store of the machine; it is made if it does not exist.
    pub fn machine(name: &str) -> Result<Self> {
        let wide = wide(name);
        // SAFETY: for this provider the parameter is a terminated UTF-16 name.
        let store = unsafe {
            CertOpenStore(
                CERT_STORE_PROV_SYSTEM_W,
                0,
                0,
                CERT_SYSTEM_STORE_LOCAL_MACHINE,
                wide.as_ptr().cast(),
            )
        };
        if store.is_null() {
            return Err(io::Error::last_os_error()).with_context(|| {
                format!("cannot open the machine's store {name}; run it as an administrator")
            });
        }
        Ok(Self(store))
    }

    /// Adds a certificate; its key goes to a key provider of the machine.
    pub fn add(&self, made: &Made, exportable: bool) -> Result<()> {
        let certificate = match import(made, exportable) {
            // Wine refuses the flag for CNG and sets no error. Windows sets one, which must not be hidden:
            // a CryptoAPI key cannot do TLS 1.3.
            Err(error) if error.raw_os_error() == Some(0) => {
                eprintln!("note: no CNG key provider takes keys here; using a CryptoAPI provider");
                let blob = made.key_blob.as_ref().context("it takes RSA keys only")?;
                legacy::certificate(&made.der, made.thumbprint, blob, exportable)
            }
            imported => imported,
        };
        self.put(&certificate.context("cannot import the key; run it as an administrator")?)
    }

    /// Adds a certificate without a key.
    pub fn add_certificate(&self, der: &[u8]) -> Result<()> {
        self.put(&StoredCertificate::parse(der).context("not a certificate")?)
    }

    fn put(&self, certificate: &StoredCertificate) -> Result<()> {
        // SAFETY: both are open; no copy is asked for.
        let added = unsafe {
            CertAddCertificateContextToStore(
                self.0,
                certificate.0,
                CERT_STORE_ADD_REPLACE_EXISTING,
                ptr::null_mut(),
            )
        };
        check(added)
            .context("cannot add the certificate to the store; run it as an administrator")?;
        self.commit().context("cannot write the store")
    }

    /// Writes changes out now, not when the last certificate that was found in it is let go.
    pub fn commit(&self) -> io::Result<()> {
        // SAFETY: the store is open; this control takes no parameter.
        check(unsafe { CertControlStore(self.0, 0, CERT_STORE_CTRL_COMMIT, ptr::null()) })
    }

    /// All its certificates.
    pub fn certificates(&self) -> Vec<StoredCertificate> {
        let mut all: Vec<StoredCertificate> = Vec::new();
        loop {
            let previous = all.last().map_or(ptr::null(), |last| {
                // SAFETY: it is alive. The search below frees the reference that it is given.
                unsafe { CertDuplicateCertificateContext(last.0) }.cast_const()
            });
            match self.search(CERT_FIND_ANY, ptr::null(), previous) {
                Some(certificate) => all.push(certificate),
                None => return all,
            }
        }
    }

    /// The certificate with this thumbprint.
    pub fn find(&self, thumbprint: Thumbprint) -> Option<StoredCertificate> {
        let mut bytes = thumbprint.0;
        let hash = CRYPT_INTEGER_BLOB {
            cbData: 20,
            pbData: bytes.as_mut_ptr(),
        };
        self.search(CERT_FIND_SHA1_HASH, (&raw const hash).cast(), ptr::null())
    }

    fn search(
        &self,
        what: u32,
        parameter: *const core::ffi::c_void,
        previous: *const CERT_CONTEXT,
    ) -> Option<StoredCertificate> {
        let encoding = X509_ASN_ENCODING | PKCS_7_ASN_ENCODING;
        // SAFETY: the store is open; parameter and previous are what this kind of search wants.
        let found =
            unsafe { CertFindCertificateInStore(self.0, encoding, 0, what, parameter, previous) };
        (!found.is_null()).then_some(StoredCertificate(found))
    }
}

/// The certificate of a PKCS#12, its key in the machine's CNG provider: Schannel signs TLS 1.3
/// handshakes with RSA-PSS, which the `CryptoAPI` providers cannot do.
///
/// # Errors
///
/// That of `PFXImportCertStore`; 0 where it failed and set none.
fn import(made: &Made, exportable: bool) -> io::Result<StoredCertificate> {
    let exportable = if exportable { CRYPT_EXPORTABLE } else { 0 };
    let blob = CRYPT_INTEGER_BLOB {
        cbData: u32::try_from(made.pkcs12.len()).map_err(io::Error::other)?,
        pbData: made.pkcs12.as_ptr().cast_mut(),
    };
    let password = wide(&made.password);
    // SAFETY: it takes any value.
    unsafe { SetLastError(ERROR_SUCCESS) };
    // SAFETY: the blob is only read, the password is terminated.
    let store = unsafe {
        PFXImportCertStore(
            &raw const blob,
            password.as_ptr(),
            CRYPT_MACHINE_KEYSET | PKCS12_ALWAYS_CNG_KSP | exportable,
        )
    };
    if store.is_null() {
        return Err(io::Error::last_os_error());
    }
    // It may hold the certificate's issuers too.
    Store(store)
        .find(made.thumbprint)
        .ok_or_else(|| io::Error::other("the package has been imported without its certificate"))
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: it is open; certificates found in it hold it open for themselves.
        unsafe { CertCloseStore(self.0, 0) };
    }
}

impl StoredCertificate {
    /// A certificate in no store, from its DER.
    pub fn parse(der: &[u8]) -> io::Result<Self> {
        let length = u32::try_from(der.len()).map_err(io::Error::other)?;
        // SAFETY: the DER is copied.
        let context =
            unsafe { CertCreateCertificateContext(X509_ASN_ENCODING, der.as_ptr(), length) };
        if context.is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(context))
    }

    /// For functions of Windows.
    pub const fn context(&self) -> *const CERT_CONTEXT {
        self.0
    }

    /// Its DER.
    pub fn der(&self) -> &[u8] {
        // SAFETY: a certificate context is valid and constant while it is referenced.
        let context = unsafe { &*self.0 };
        let length = usize::try_from(context.cbCertEncoded).unwrap_or(0);
        // SAFETY: the context says where its DER lies.
        unsafe { slice::from_raw_parts(context.pbCertEncoded, length) }
    }

    /// The subject as the certificate dialog shows it.
    pub fn subject(&self) -> String {
        let mut name = [0; 256];
        // SAFETY: the buffer has as many units as it is said to have.
        let length = unsafe {
            CertGetNameStringW(
                self.0,
                CERT_NAME_SIMPLE_DISPLAY_TYPE,
                0,
                ptr::null(),
                name.as_mut_ptr(),
                256,
            )
        };
        let length = usize::try_from(length).unwrap_or(0).saturating_sub(1);
        String::from_utf16_lossy(name.get(..length).unwrap_or_default())
    }

    /// Whether the store knows of a private key.
    pub fn has_key(&self) -> bool {
        key::Location::of(self.0).is_some()
    }

    /// Deletes the private key, if there is one.
    pub fn delete_key(&self) -> io::Result<()> {
        key::Location::of(self.0).map_or(Ok(()), |location| location.delete())
    }

    /// Removes the certificate from its store.
    pub fn delete(self) -> io::Result<()> {
        // SAFETY: it is alive; deleting frees a reference, so it gets one of its own.
        let reference = unsafe { CertDuplicateCertificateContext(self.0) };
        // SAFETY: see above.
        check(unsafe { CertDeleteCertificateFromStore(reference) })
    }
}

impl Drop for StoredCertificate {
    fn drop(&mut self) {
        // SAFETY: the reference is ours.
        unsafe { CertFreeCertificateContext(self.0) };
    }
}
