//! The run itself.

use crate::{certificate, module::Module};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
    SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{
    env,
    ffi::c_void,
    fs,
    io::{Read, Write},
    ptr,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};
use windows_sys::Win32::{
    Foundation::{SEC_E_NO_CREDENTIALS, SEC_E_OK, SEC_I_CONTINUE_NEEDED, UNICODE_STRING},
    Security::{
        Authentication::Identity::{
            ASC_REQ_CONFIDENTIALITY, ASC_REQ_EXTENDED_ERROR, ASC_REQ_SEQUENCE_DETECT,
            ASC_REQ_STREAM, SCH_CRED_FORMAT_CERT_HASH_STORE, SCH_CRED_NO_SYSTEM_MAPPER,
            SCH_CREDENTIALS, SCH_CREDENTIALS_VERSION, SCH_MACHINE_CERT_HASH, SCH_USE_STRONG_CRYPTO,
            SCHANNEL_CERT_HASH_STORE, SECBUFFER_ALERT, SECBUFFER_DATA, SECBUFFER_EMPTY,
            SECBUFFER_EXTRA, SECBUFFER_STREAM_HEADER, SECBUFFER_STREAM_TRAILER, SECBUFFER_TOKEN,
            SECPKG_ATTR_STREAM_SIZES, SECPKG_CRED_INBOUND, SecBuffer, SecBufferDesc,
            SecPkgContext_StreamSizes,
        },
        Credentials::SecHandle,
    },
};

const FLAGS: u32 =
    ASC_REQ_SEQUENCE_DETECT | ASC_REQ_CONFIDENTIALITY | ASC_REQ_EXTENDED_ERROR | ASC_REQ_STREAM;

/// Runs.
pub fn main() {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().expect("the path of ksecdd.sys");
    let driver = Driver {
        module: Module::load(&path),
    };
    let argument = arguments.next().expect("a PKCS #12 file, or stop");
    if argument == "stop" {
        let wild = ptr::without_provenance_mut(0x1230);
        // SAFETY: the module is to find out that this is no async context.
        unsafe { (driver.module.status)(wild) };
        println!("came back from a broken rule");
        return;
    }
    let mut pfx = fs::read(argument).expect("a PKCS #12 file");
    let thumbprint = certificate::import(&mut pfx);
    println!("certificate imported");
    assert_eq!(driver.acquire([0; 20]).0, SEC_E_NO_CREDENTIALS);
    let (status, credential) = driver.acquire(thumbprint);
    assert_eq!(status, SEC_E_OK, "acquire: {status:#x}");
    println!("credential acquired");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        driver.converse(&credential, version);
        println!("{:?} done", version.version);
    }
    // SAFETY: the handle outlives the call.
    let status = driver
        .wait(|context| unsafe { (driver.module.free_credential)(context, &raw const credential) });
    assert_eq!(status, SEC_E_OK);
    // SAFETY: the function has no requirements.
    while unsafe { (driver.module.leaks)() } > 0 {
        std::thread::yield_now();
    }
    println!("PASS");
}

struct Driver {
    module: Module,
}

unsafe extern "system" fn notified(_: *mut c_void, data: *mut c_void) {
    // SAFETY: `Driver::wait` keeps it until the message has come.
    let sender = unsafe { &*data.cast::<Sender<()>>() }.clone();
    sender.send(()).expect("somebody waits");
}

impl Driver {
    /// Makes one asynchronous call, and its status once its callback has come.
    fn wait(&self, issue: impl FnOnce(*mut c_void) -> i32) -> i32 {
        let (sender, receiver): (Sender<()>, Receiver<()>) = channel();
        // SAFETY: the function has no requirements.
        let context = unsafe { (self.module.create)() };
        let data = (&raw const sender).cast_mut().cast();
        // SAFETY: the context is new.
        unsafe { (self.module.set_callback)(context, notified, data) };
        assert_eq!(issue(context), SEC_E_OK, "not accepted");
        receiver
            .recv_timeout(Duration::from_secs(20))
            .expect("no callback");
        // SAFETY: the context is alive and its callback has come.
        let status = unsafe { (self.module.status)(context) };
        // SAFETY: likewise.
        unsafe { (self.module.free)(context) };
        status
    }

    fn acquire(&self, thumbprint: [u8; 20]) -> (i32, SecHandle) {
        let mut hash = SCHANNEL_CERT_HASH_STORE {
            dwLength: 296,
            dwFlags: SCH_MACHINE_CERT_HASH,
            hProv: 0,
            ShaHash: thumbprint,
            pwszStoreName: [0; 128],
        };
        hash.pwszStoreName[..2].copy_from_slice(&[b'M'.into(), b'Y'.into()]);
        let auth = SCH_CREDENTIALS {
            dwVersion: SCH_CREDENTIALS_VERSION,
            dwCredFormat: SCH_CRED_FORMAT_CERT_HASH_STORE,
            cCreds: 1,
            paCred: (&raw mut hash).cast(),
            dwFlags: SCH_USE_STRONG_CRYPTO | SCH_CRED_NO_SYSTEM_MAPPER,
            ..Default::default()
        };
        let mut name: Vec<u16> = "Schannel".encode_utf16().collect();
        let package = UNICODE_STRING {
            Length: 16,
            MaximumLength: 16,
            Buffer: name.as_mut_ptr(),
        };
        let mut credential = SecHandle {
            dwLower: usize::MAX,
            dwUpper: usize::MAX,
        };
        let place = &raw mut credential;
        // SAFETY: all of it outlives the call, whose callback is waited for.
        let status = self.wait(|context| unsafe {
            (self.module.acquire)(
                context,
                ptr::null(),
                &raw const package,
                SECPKG_CRED_INBOUND,
                ptr::null(),
                (&raw const auth).cast(),
                ptr::null(),
                ptr::null(),
                place,
                ptr::null_mut(),
            )
        });
        (status, credential)
    }

    /// One connection: handshake, a record each way, deletion.
    fn converse(&self, credential: &SecHandle, version: &'static SupportedProtocolVersion) {
        let mut client = client(version);
        let mut context = SecHandle {
            dwLower: usize::MAX,
            dwUpper: usize::MAX,
        };
        let (mut input, mut status) = (Vec::new(), SEC_I_CONTINUE_NEEDED);
        while status == SEC_I_CONTINUE_NEEDED {
            input.append(&mut say(&mut client));
            let (token, extra);
            (status, token, extra) = self.leg(credential, &mut context, &mut input);
            input.drain(..input.len() - extra);
            hear(&mut client, &token);
        }
        assert_eq!(status, SEC_E_OK, "leg: {status:#x}");
        let record = self.seal(&context, b"from the kernel");
        let mut heard = [0; 15];
        hear(&mut client, &record);
        client.reader().read_exact(&mut heard).expect("a record");
        assert_eq!(&heard, b"from the kernel");
        client
            .writer()
            .write_all(b"from the client")
            .expect("memory");
        let mut bytes = say(&mut client);
        assert_eq!(self.unseal(&context, &mut bytes), b"from the client");
        // SAFETY: the handle outlives the call.
        let status = self.wait(|call| unsafe { (self.module.delete)(call, &raw const context) });
        assert_eq!(status, SEC_E_OK);
    }

    fn leg(
        &self,
        credential: &SecHandle,
        context: &mut SecHandle,
        input: &mut [u8],
    ) -> (i32, Vec<u8>, usize) {
        let (mut output, mut alert, mut attributes) = (vec![0; 32 * 1024], [0; 2], 0);
        let empty = buffer(SECBUFFER_EMPTY, &mut []);
        let mut inputs = [buffer(SECBUFFER_TOKEN, input), empty, empty];
        let mut outputs = [
            buffer(SECBUFFER_TOKEN, &mut output),
            buffer(SECBUFFER_ALERT, &mut alert),
        ];
        let (given, wanted) = (descriptor(&mut inputs), descriptor(&mut outputs));
        let first = context.dwLower == usize::MAX;
        let context = &raw mut *context;
        // SAFETY: all of it outlives the call, whose callback is waited for.
        let status = self.wait(|call| unsafe {
            (self.module.accept)(
                call,
                credential,
                if first { ptr::null() } else { context },
                &raw const given,
                FLAGS,
                0,
                context,
                &raw const wanted,
                &raw mut attributes,
                ptr::null_mut(),
            )
        });
        let extra = inputs
            .iter()
            .find(|buffer| buffer.BufferType == SECBUFFER_EXTRA);
        let extra = extra.map_or(0, |buffer| buffer.cbBuffer as usize);
        output.truncate(outputs[0].cbBuffer as usize);
        (status, output, extra)
    }

    fn seal(&self, context: &SecHandle, plaintext: &[u8]) -> Vec<u8> {
        let mut sizes = SecPkgContext_StreamSizes::default();
        let answer = (&raw mut sizes).cast();
        // SAFETY: the answer is of the attribute's type.
        let status = unsafe { (self.module.query)(context, SECPKG_ATTR_STREAM_SIZES, answer) };
        assert_eq!(status, SEC_E_OK);
        let header = sizes.cbHeader as usize;
        let mut record = vec![0; header + plaintext.len() + sizes.cbTrailer as usize];
        record[header..header + plaintext.len()].copy_from_slice(plaintext);
        let (front, rest) = record.split_at_mut(header);
        let (data, trailer) = rest.split_at_mut(plaintext.len());
        let mut buffers = [
            buffer(SECBUFFER_STREAM_HEADER, front),
            buffer(SECBUFFER_DATA, data),
            buffer(SECBUFFER_STREAM_TRAILER, trailer),
            buffer(SECBUFFER_EMPTY, &mut []),
        ];
        let message = descriptor(&mut buffers);
        // SAFETY: the buffers are alive and contiguous.
        let status = unsafe { (self.module.seal)(context, 0, &raw const message, 0) };
        assert_eq!(status, SEC_E_OK);
        record
    }

    fn unseal(&self, context: &SecHandle, bytes: &mut [u8]) -> Vec<u8> {
        let start = bytes.as_ptr().addr();
        let mut buffers = [buffer(SECBUFFER_EMPTY, &mut []); 4];
        buffers[0] = buffer(SECBUFFER_DATA, bytes);
        let message = descriptor(&mut buffers);
        // SAFETY: the buffers are alive.
        let status =
            unsafe { (self.module.unseal)(context, &raw const message, 0, ptr::null_mut()) };
        assert_eq!(status, SEC_E_OK, "unseal: {status:#x}");
        let data = buffers
            .iter()
            .find(|buffer| buffer.BufferType == SECBUFFER_DATA);
        let data = data.expect("a data buffer");
        let at = data.pvBuffer.addr() - start;
        bytes[at..at + data.cbBuffer as usize].to_vec()
    }
}

fn buffer(kind: u32, memory: &mut [u8]) -> SecBuffer {
    let pointer = if kind == SECBUFFER_EMPTY {
        ptr::null_mut()
    } else {
        memory.as_mut_ptr()
    };
    let length = u32::try_from(memory.len()).expect("a small buffer");
    SecBuffer {
        cbBuffer: length,
        BufferType: kind,
        pvBuffer: pointer.cast(),
    }
}

fn descriptor(buffers: &mut [SecBuffer]) -> SecBufferDesc {
    let count = u32::try_from(buffers.len()).expect("a few");
    SecBufferDesc {
        ulVersion: 0,
        cBuffers: count,
        pBuffers: buffers.as_mut_ptr(),
    }
}

fn say(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).expect("memory");
    }
    bytes
}

fn hear(client: &mut ClientConnection, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).expect("memory");
        client.process_new_packets().expect("TLS");
    }
}

fn client(version: &'static SupportedProtocolVersion) -> ClientConnection {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    let name = ServerName::try_from("lab.test").expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a client")
}

/// Believes everyone: who the server is, is not the question here.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
