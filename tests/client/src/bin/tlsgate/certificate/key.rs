//! Where a certificate's private key lies: a named container of a key provider.

use std::{io, ptr};
use windows_sys::Win32::Foundation::NTE_BAD_KEYSET;
use windows_sys::Win32::Security::Cryptography::{
    CERT_CONTEXT, CERT_KEY_PROV_INFO_PROP_ID, CRYPT_DELETEKEYSET, CRYPT_KEY_PROV_INFO,
    CRYPT_MACHINE_KEYSET, CertGetCertificateContextProperty, CryptAcquireContextW,
    NCRYPT_MACHINE_KEY_FLAG, NCryptDeleteKey, NCryptFreeObject, NCryptOpenKey,
    NCryptOpenStorageProvider,
};

/// A certificate's `CERT_KEY_PROV_INFO_PROP_ID`. The structure points into the same memory, which
/// is kept as words because it begins with pointers.
pub struct Location(Vec<usize>);

impl Location {
    /// Where the key of this certificate lies, if the store knows.
    pub fn of(certificate: *const CERT_CONTEXT) -> Option<Self> {
        let mut size = 0;
        get(certificate, ptr::null_mut(), &mut size)?;
        let words = usize::try_from(size).ok()?.div_ceil(size_of::<usize>());
        let mut memory = vec![0_usize; words];
        get(certificate, memory.as_mut_ptr(), &mut size)?;
        (words * size_of::<usize>() >= size_of::<CRYPT_KEY_PROV_INFO>()).then_some(Self(memory))
    }

    fn info(&self) -> &CRYPT_KEY_PROV_INFO {
        // SAFETY: `of` made sure that there is a whole structure, written by crypt32.
        unsafe { &*self.0.as_ptr().cast() }
    }

    /// Deletes the key. Provider type 0 means a CNG provider. A key that has gone is no error.
    pub fn delete(&self) -> io::Result<()> {
        let deleted = if self.info().dwProvType == 0 {
            self.delete_cng()
        } else {
            self.delete_legacy()
        };
        match deleted {
            Err(error) if error.raw_os_error() == Some(NTE_BAD_KEYSET) => Ok(()),
            deleted => deleted,
        }
    }

    fn delete_legacy(&self) -> io::Result<()> {
        let info = self.info();
        let mut provider = 0;
        // SAFETY: both names are terminated; with this flag the output is not a handle.
        let done = unsafe {
            CryptAcquireContextW(
                &raw mut provider,
                info.pwszContainerName,
                info.pwszProvName,
                info.dwProvType,
                CRYPT_DELETEKEYSET | (info.dwFlags & CRYPT_MACHINE_KEYSET),
            )
        };
        if done == 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    fn delete_cng(&self) -> io::Result<()> {
        let info = self.info();
        let (mut provider, mut key) = (0, 0);
        // SAFETY: the name is terminated.
        check(unsafe { NCryptOpenStorageProvider(&raw mut provider, info.pwszProvName, 0) })?;
        let flags = if info.dwFlags & CRYPT_MACHINE_KEYSET == 0 {
            0
        } else {
            NCRYPT_MACHINE_KEY_FLAG
        };
        // SAFETY: the provider is open, the name is terminated.
        let opened = check(unsafe {
            NCryptOpenKey(provider, &raw mut key, info.pwszContainerName, 0, flags)
        });
        let deleted = opened.and_then(|()| {
            // SAFETY: the key is open; deleting closes it.
            check(unsafe { NCryptDeleteKey(key, 0) })
        });
        // SAFETY: the provider is open.
        unsafe { NCryptFreeObject(provider) };
        deleted
    }
}

fn get(certificate: *const CERT_CONTEXT, memory: *mut usize, size: &mut u32) -> Option<()> {
    // SAFETY: the certificate is alive; memory is null or has as many bytes as `size` says.
    let got = unsafe {
        CertGetCertificateContextProperty(
            certificate,
            CERT_KEY_PROV_INFO_PROP_ID,
            memory.cast(),
            size,
        )
    };
    (got != 0).then_some(())
}

fn check(status: i32) -> io::Result<()> {
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(status))
    }
}
