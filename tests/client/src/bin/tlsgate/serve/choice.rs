//! Which certificate a client gets: the one for the name that it wants, where the certificates are for
//! different names; among those for one name the security subsystem chooses.

use crate::{certificate, cli, credential};
use anyhow::Result;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{PoisonError, RwLock},
};
use tlsgate::{ClientHello, Credential, Driver, ResolvesServerCert, Thumbprint};

/// The server's credentials.
#[derive(Debug)]
pub struct Choice(RwLock<Groups>);

/// The credentials of one set of certificates.
#[derive(Debug)]
struct Groups {
    /// Each of them once. The first one is for clients that want no name, or an unknown one.
    credentials: Vec<Credential>,
    /// Which of them, by DNS name in lower case; empty when there is but one.
    by_name: HashMap<String, usize>,
}

/// Which certificates share a credential, before anything is acquired.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    groups: Vec<Vec<Thumbprint>>,
    by_name: HashMap<String, usize>,
}

impl Choice {
    /// Acquires what the command line names.
    pub async fn acquire(driver: &Driver, options: &cli::Serve) -> Result<Self> {
        let plan = Plan::of(options, &options.cert);
        let groups = Groups::acquire(driver, options, plan).await?;
        Ok(Self(RwLock::new(groups)))
    }

    /// Has new connections use these certificates. When it fails, everything stays as it was.
    pub async fn renew(
        &self,
        driver: &Driver,
        options: &cli::Serve,
        certificates: &[Thumbprint],
    ) -> Result<()> {
        let plan = Plan::of(options, certificates);
        if let (Some(credential), [group]) = (self.always(), &plan.groups[..]) {
            let wanted = credential::server(options, group)?;
            return credential::replace(&credential, &wanted, group, &options.credential).await;
        }
        let groups = Groups::acquire(driver, options, plan).await?;
        // Those that nobody uses any more are released with their last connection.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = groups;
        Ok(())
    }

    /// Releases everything.
    pub async fn release(&self) -> Result<()> {
        let credentials = self.groups(|groups| groups.credentials.clone());
        for credential in credentials {
            credential.release().await?;
        }
        Ok(())
    }

    fn groups<R>(&self, look: impl FnOnce(&Groups) -> R) -> R {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Credential> {
        self.groups(|groups| {
            let name = hello.server_name().unwrap_or_default();
            let group = find(&groups.by_name, name).unwrap_or_default();
            groups.credentials.get(group).cloned()
        })
    }

    fn always(&self) -> Option<Credential> {
        self.groups(|groups| match &groups.credentials[..] {
            [credential] => Some(credential.clone()),
            _ => None,
        })
    }
}

impl Groups {
    async fn acquire(driver: &Driver, options: &cli::Serve, plan: Plan) -> Result<Self> {
        let mut credentials = Vec::new();
        for group in &plan.groups {
            let wanted = credential::server(options, group)?;
            let common = &options.credential;
            credentials.push(credential::acquire(driver, &wanted, group, common).await?);
        }
        Ok(Self {
            credentials,
            by_name: plan.by_name,
        })
    }
}

impl Plan {
    /// One credential with all certificates if the command line says so, or if the store does not tell
    /// what names they are for: a service may use a key without reading the store.
    fn of(options: &cli::Serve, certificates: &[Thumbprint]) -> Self {
        let one_credential = options.one_credential || options.principal.is_some();
        let names = if one_credential || certificates.len() < 2 {
            None
        } else {
            names(options.credential.store_name(), certificates)
        };
        names.map_or_else(
            || Self {
                groups: vec![certificates.to_vec()],
                by_name: HashMap::new(),
            },
            |named| Self::by_names(&named),
        )
    }

    /// Certificates with a name in common share its credential.
    fn by_names(certificates: &[(Thumbprint, Vec<String>)]) -> Self {
        let mut by_name: BTreeMap<String, Vec<Thumbprint>> = BTreeMap::new();
        for (thumbprint, names) in certificates {
            for name in names {
                let of_name = by_name.entry(name.to_lowercase()).or_default();
                of_name.push(*thumbprint);
            }
        }
        let mut groups: Vec<Vec<Thumbprint>> = Vec::new();
        let mut place = |wanted: Vec<Thumbprint>| {
            groups
                .iter()
                .position(|group| *group == wanted)
                .unwrap_or_else(|| {
                    groups.push(wanted);
                    groups.len() - 1
                })
        };
        // The first certificate's group comes first; a certificate without a name has its own.
        for (thumbprint, names) in certificates {
            match names
                .first()
                .and_then(|name| by_name.get(&name.to_lowercase()))
            {
                Some(of_name) => place(of_name.clone()),
                None => place(vec![*thumbprint]),
            };
        }
        let by_name: HashMap<_, _> = by_name
            .into_iter()
            .map(|(name, of_name)| (name, place(of_name)))
            .collect();
        Self {
            by_name: if groups.len() == 1 {
                HashMap::new()
            } else {
                by_name
            },
            groups,
        }
    }
}

/// What names each of the certificates is for, if the store knows them all.
fn names(store: &str, certificates: &[Thumbprint]) -> Option<Vec<(Thumbprint, Vec<String>)>> {
    let known = certificate::with_key(store).ok()?;
    let named = certificates.iter().map(|thumbprint| {
        let text = thumbprint.to_string();
        let one = known.iter().find(|one| one.thumbprint == text)?;
        Some((*thumbprint, one.names.clone()))
    });
    named.collect()
}

/// What is known by this name, or by a wildcard in place of its first label (RFC 6125, section 6.4.3).
fn find(by_name: &HashMap<String, usize>, name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    let wildcard = || Some(format!("*.{}", name.split_once('.')?.1));
    by_name
        .get(&name)
        .or_else(|| by_name.get(&wildcard()?))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(certificates: &[(&[u8], &[&str])]) -> Plan {
        let certificates: Vec<_> = certificates
            .iter()
            .map(|(der, names)| {
                let names = names.iter().map(ToString::to_string).collect();
                (Thumbprint::of(der), names)
            })
            .collect();
        Plan::by_names(&certificates)
    }

    fn group(certificates: &[&[u8]]) -> Vec<Thumbprint> {
        certificates.iter().map(|der| Thumbprint::of(der)).collect()
    }

    #[test]
    fn certificates_of_one_name_share_a_credential() {
        let plan = plan(&[
            (b"rsa", &["One.test"]),
            (b"other", &["*.two.test", "two.test"]),
            (b"ecdsa", &["one.test"]),
        ]);
        assert_eq!(
            plan.groups,
            [group(&[b"rsa", b"ecdsa"]), group(&[b"other"])]
        );
        assert_eq!(find(&plan.by_name, "ONE.test"), Some(0));
        assert_eq!(find(&plan.by_name, "www.two.test"), Some(1));
        assert_eq!(find(&plan.by_name, "two.test"), Some(1));
        for unknown in ["a.www.two.test", "three.test", "test", ""] {
            assert_eq!(find(&plan.by_name, unknown), None, "{unknown}");
        }
    }

    #[test]
    fn where_all_have_the_same_names_nothing_waits_for_one() {
        let plan = plan(&[(b"rsa", &["one.test"]), (b"ecdsa", &["one.test"])]);
        assert_eq!(plan.groups, [group(&[b"rsa", b"ecdsa"])]);
        assert!(plan.by_name.is_empty());
    }

    #[test]
    fn every_certificate_is_acquired_once_at_least() {
        let plan = plan(&[(b"unknown", &[]), (b"known", &["one.test"])]);
        assert_eq!(plan.groups, [group(&[b"unknown"]), group(&[b"known"])]);
        assert_eq!(find(&plan.by_name, "one.test"), Some(1));
    }
}
