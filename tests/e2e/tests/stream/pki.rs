//! Certificates for both sides, by OpenSSL: an authority that the machine trusts and one that it does
//! not, and what they issue.

use anyhow::{Context, Result, ensure};
use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    rsa::Rsa,
    x509::{
        X509, X509Builder, X509Name, X509NameBuilder,
        extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName},
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tlsgate_e2e::{Lab, PROGRAM};

/// Days that everything is good for, unless it has expired.
const DAYS: u32 = 3650;

/// The name of most servers.
pub const NAME: &str = "localhost";

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rsa,
    Ecdsa,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Server,
    Client,
    /// A server's that was good until yesterday.
    ExpiredServer,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Identity {
    pub certificate: X509,
    pub key: PKey<Private>,
}

/// One that issues certificates.
pub struct Authority(Identity);

/// Where the machine's certificates and keys lie on the host.
pub struct Pki<'a> {
    lab: &'a Lab,
    /// The machine trusts it.
    pub trusted: Authority,
}

impl Identity {
    /// SHA-1 of the DER, as `tlsgate` prints it.
    pub fn thumbprint(&self) -> Result<String> {
        thumbprint(&self.certificate)
    }

    /// Both as PEM.
    pub fn pem(&self) -> Result<Vec<u8>> {
        let certificate = self.certificate.to_pem()?;
        Ok([certificate, self.key.private_key_to_pem_pkcs8()?].concat())
    }
}

/// SHA-1 of the DER, as `tlsgate` prints it.
pub fn thumbprint(certificate: &openssl::x509::X509Ref) -> Result<String> {
    let digest = certificate.digest(MessageDigest::sha1())?;
    let digits: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(digits.concat())
}

impl Authority {
    /// A new one, which nobody trusts yet.
    pub fn new(name: &str) -> Result<Self> {
        let key = new_key(Kind::Ecdsa)?;
        let mut builder = builder(name, &key, -1, DAYS)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().build()?)?;
        let own = subject(name)?;
        builder.set_issuer_name(&own)?;
        builder.sign(&key, MessageDigest::sha256())?;
        let certificate = builder.build();
        Ok(Self(Identity { certificate, key }))
    }

    /// Its own certificate.
    pub fn certificate(&self) -> &X509 {
        &self.0.certificate
    }

    /// A certificate for this name, with a new key.
    pub fn issue(&self, name: &str, kind: Kind, purpose: Purpose) -> Result<Identity> {
        let key = new_key(kind)?;
        let (from, days) = match purpose {
            Purpose::ExpiredServer => (-10, 9),
            Purpose::Server | Purpose::Client => (-1, DAYS),
        };
        let mut builder = builder(name, &key, from, days)?;
        let names = SubjectAlternativeName::new()
            .dns(name)
            .build(&builder.x509v3_context(Some(&self.0.certificate), None))?;
        builder.append_extension(names)?;
        builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
        let mut usage = ExtendedKeyUsage::new();
        match purpose {
            Purpose::Client => usage.client_auth(),
            Purpose::Server | Purpose::ExpiredServer => usage.server_auth(),
        };
        builder.append_extension(usage.build()?)?;
        builder.set_issuer_name(self.0.certificate.subject_name())?;
        builder.sign(&self.0.key, MessageDigest::sha256())?;
        let certificate = builder.build();
        Ok(Identity { certificate, key })
    }
}

impl<'a> Pki<'a> {
    /// What the machine has, made once for as long as its disk exists.
    pub fn of(lab: &'a Lab) -> Result<Self> {
        let file = folder(lab, "pki")?.join("authority.pem");
        if !file.exists() {
            let authority = Authority::new("TlsGate lab authority")?;
            fs::write(&file, authority.0.pem()?)?;
        }
        let trusted = Authority(read(&file)?);
        fs::write(
            folder(lab, "roots")?.join("authority.pem"),
            trusted.certificate().to_pem()?,
        )?;
        Ok(Self { lab, trusted })
    }

    /// A certificate in the machine's store whose key the driver's callers can use.
    pub fn on_the_machine(&self, name: &str, kind: Kind, purpose: Purpose) -> Result<Identity> {
        let file = folder(self.lab, "pki")?.join(format!("{name}-{kind:?}-{purpose:?}.pem"));
        if file.exists() {
            return read(&file);
        }
        let identity = self.trusted.issue(name, kind, purpose)?;
        self.install(&identity, &[self.trusted.certificate().clone()])?;
        fs::write(&file, identity.pem()?)?;
        Ok(identity)
    }

    /// Puts a certificate into the machine's store, its key and its issuers beside it.
    fn install(&self, identity: &Identity, issuers: &[X509]) -> Result<()> {
        let thumbprint = identity.thumbprint()?;
        let keys = folder(self.lab, "keys")?;
        fs::write(
            keys.join(format!("{thumbprint}.pem")),
            identity.key.private_key_to_pem_pkcs8()?,
        )?;
        let chain = issuers.iter().map(|issuer| issuer.to_pem());
        let chain: Vec<Vec<u8>> = chain.collect::<Result<_, _>>()?;
        fs::write(keys.join(format!("{thumbprint}.chain")), chain.concat())?;
        let name = format!("{thumbprint}.certificate");
        fs::write(keys.join(&name), identity.certificate.to_pem()?)?;
        let place = format!(r"C:\lab\keys\{name}");
        let arguments = ["cert", "import", &place];
        let output = self.lab.machine().run(PROGRAM, &arguments)?.success()?;
        ensure!(
            output.stdout.trim() == thumbprint,
            "imported {}, not {thumbprint}",
            output.stdout
        );
        Ok(())
    }
}

fn folder(lab: &Lab, name: &str) -> Result<PathBuf> {
    let folder = lab.machine().lab().join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn read(file: &Path) -> Result<Identity> {
    let pem = fs::read(file)?;
    let what = || format!("{} is not whole", file.display());
    Ok(Identity {
        certificate: X509::from_pem(&pem).with_context(what)?,
        key: PKey::private_key_from_pem(&pem).with_context(what)?,
    })
}

fn new_key(kind: Kind) -> Result<PKey<Private>> {
    Ok(match kind {
        Kind::Rsa => PKey::from_rsa(Rsa::generate(2048)?)?,
        Kind::Ecdsa => {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
            PKey::from_ec_key(EcKey::generate(&group)?)?
        }
    })
}

/// A certificate of version 3 with name, key and dates; `from` is the first day, counted from today.
fn builder(name: &str, key: &PKey<Private>, from: i64, days: u32) -> Result<X509Builder> {
    let mut serial = BigNum::new()?;
    serial.rand(120, MsbOption::MAYBE_ZERO, false)?;
    let today = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs();
    let first = i64::try_from(today)? + from * DAY;
    let subject = subject(name)?;
    let serial = serial.to_asn1_integer()?;
    let not_before = Asn1Time::from_unix(first)?;
    let not_after = Asn1Time::from_unix(first + i64::from(days) * DAY)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&subject)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&not_before)?;
    builder.set_not_after(&not_after)?;
    Ok(builder)
}

fn subject(name: &str) -> Result<X509Name> {
    let mut subject = X509NameBuilder::new()?;
    subject.append_entry_by_nid(Nid::COMMONNAME, name)?;
    Ok(subject.build())
}

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;
