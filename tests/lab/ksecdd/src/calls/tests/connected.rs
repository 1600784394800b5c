//! A connection whose handshake is done.

use super::arguments::{Came, LegMemory, buffer, descriptor};
use super::driver::{AsyncCall, Driver};
use crate::peer::Peer;
use openssl::ssl::SslVersion;
use std::{ptr, thread};
use windows_sys::Win32::{
    Foundation::{SEC_E_BUFFER_TOO_SMALL, SEC_E_OK, SEC_I_CONTINUE_NEEDED},
    Security::{
        Authentication::Identity::{
            SECBUFFER_DATA, SECBUFFER_EMPTY, SECBUFFER_STREAM_HEADER, SECBUFFER_STREAM_TRAILER,
            SECPKG_ATTR_STREAM_SIZES, SecBuffer, SecPkgContext_StreamSizes,
        },
        Credentials::SecHandle,
    },
};

/// `SEC_APPLICATION_PROTOCOLS` for h2 and http/1.1.
pub const PROTOCOLS: &[u8] = b"\x12\0\0\0\x02\0\0\0\x0c\0\x02h2\x08http/1.1";

/// A connection whose handshake is done.
pub struct Connected {
    pub credential: SecHandle,
    pub call: AsyncCall,
    pub memory: Box<LegMemory>,
    pub peer: Peer,
}

impl Connected {
    pub fn new(driver: &Driver, version: SslVersion, room: usize) -> Self {
        let mut memory = LegMemory::new(room);
        memory.protocols = PROTOCOLS.to_vec();
        Self::shake(
            driver,
            driver.acquire(),
            memory,
            Peer::client(version, b"\x02h2"),
        )
    }

    /// Shakes hands.
    pub fn shake(
        driver: &Driver,
        credential: SecHandle,
        mut memory: Box<LegMemory>,
        mut peer: Peer,
    ) -> Self {
        let call = driver.async_call();
        let mut said = if memory.accepts {
            peer.handshake(&[])
        } else {
            Vec::new()
        };
        loop {
            memory.input.append(&mut said);
            let came = memory.leg(driver, &call, &credential);
            if came.status == SEC_E_BUFFER_TOO_SMALL {
                memory.output = vec![0; memory.output.len() * 2];
                continue;
            }
            let kept = memory.input.len() - came.extra;
            memory.input.drain(..kept);
            said = peer.handshake(&came.token);
            if came.status == SEC_E_OK {
                break;
            }
            assert_eq!(came.status, SEC_I_CONTINUE_NEEDED);
        }
        // What an OpenSSL server has to say last, comes behind the handshake.
        memory.input.append(&mut said);
        assert!(memory.input.is_empty() || !memory.accepts);
        Self {
            credential,
            call,
            memory,
            peer,
        }
    }

    /// Shakes hands until a leg comes to anything but going on; what that is.
    pub fn end_of_shaking(
        driver: &Driver,
        credential: SecHandle,
        memory: &mut LegMemory,
        peer: &mut Peer,
    ) -> Came {
        let call = driver.async_call();
        let mut said = if memory.accepts {
            peer.handshake(&[])
        } else {
            Vec::new()
        };
        loop {
            memory.input.append(&mut said);
            let came = memory.leg(driver, &call, &credential);
            if came.status != SEC_I_CONTINUE_NEEDED {
                return came;
            }
            memory.input.drain(..memory.input.len() - came.extra);
            said = peer.handshake(&came.token);
        }
    }

    pub fn query<T: Default>(&self, driver: &Driver, attribute: u32) -> (i32, T) {
        let mut answer = T::default();
        // SAFETY: the answer is of the attribute's type.
        let status = unsafe {
            driver.ksecdd.query_context_attributes(
                &raw const self.memory.context,
                attribute,
                (&raw mut answer).cast(),
            )
        };
        (status.unwrap(), answer)
    }

    pub fn seal(&self, driver: &Driver, quality: u32, plaintext: &[u8]) -> (i32, Vec<u8>) {
        let (_, sizes): (_, SecPkgContext_StreamSizes) =
            self.query(driver, SECPKG_ATTR_STREAM_SIZES);
        let (header, trailer) = (sizes.cbHeader as usize, sizes.cbTrailer as usize);
        let mut record = vec![0; header];
        record.extend(plaintext);
        record.resize(header + plaintext.len() + trailer, 0);
        let start = record.as_mut_ptr();
        let mut buffers = vec![
            buffer(SECBUFFER_STREAM_HEADER, start, header),
            buffer(SECBUFFER_DATA, start.wrapping_add(header), plaintext.len()),
            buffer(
                SECBUFFER_STREAM_TRAILER,
                start.wrapping_add(header + plaintext.len()),
                trailer,
            ),
            buffer(SECBUFFER_EMPTY, ptr::null_mut(), 0),
        ];
        let message = descriptor(&mut buffers);
        // SAFETY: the memory outlives the call.
        let status = unsafe {
            driver.ksecdd.seal_message(
                &raw const self.memory.context,
                quality,
                &raw const message,
                0,
            )
        };
        (status.unwrap(), record)
    }

    pub fn unseal(&self, driver: &Driver, bytes: &mut [u8]) -> (i32, Vec<SecBuffer>) {
        let mut buffers = vec![buffer(SECBUFFER_EMPTY, ptr::null_mut(), 0); 4];
        buffers[0] = buffer(SECBUFFER_DATA, bytes.as_mut_ptr(), bytes.len());
        let message = descriptor(&mut buffers);
        // SAFETY: the memory outlives the call.
        let status = unsafe {
            driver
                .ksecdd
                .unseal_message(&raw const self.memory.context, &raw const message, 0)
        };
        (status.unwrap(), buffers)
    }

    pub fn close(self, driver: &Driver) {
        driver.delete(&self.memory.context);
        self.call.free();
        driver.free_credential(&self.credential);
        // The last callback may still be returning.
        while driver.ksecdd.state().in_flight > 0 {
            thread::yield_now();
        }
        assert!(
            driver.ksecdd.state().is_clean(),
            "{:?}",
            driver.ksecdd.state()
        );
        assert_eq!(driver.stops(), [""; 0]);
    }
}
