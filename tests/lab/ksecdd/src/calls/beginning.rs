//! What a first leg makes a security context of.

use crate::{
    context::Making,
    credential::{CredentialUse, Role},
    rules::{Checked, TARGET_NAME_MISSING, check},
    tls::{config::Accepting, engine::Engine, handshake::Connection},
};
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tlsgate_lab_control::ksecdd::{SniCredential, Switches};
use windows_sys::Win32::{
    Foundation::{SEC_E_INTERNAL_ERROR, SEC_E_TARGET_UNKNOWN, SEC_E_UNKNOWN_CREDENTIALS},
    Security::Authentication::Identity::{
        ASC_REQ_MUTUAL_AUTH, ASC_REQ_SESSION_TICKET, ISC_REQ_MANUAL_CRED_VALIDATION,
    },
};

/// What a first leg brings.
pub struct Beginning<'a> {
    pub credential: CredentialUse,
    pub accepts: bool,
    pub alpn: Vec<Vec<u8>>,
    /// `pszTargetName`; empty when there is none.
    pub target: &'a str,
    pub request: u32,
}

impl Beginning<'_> {
    /// What the context is made of, or the status that the call returns.
    pub fn make(self, switches: &Switches) -> Checked<Result<Making, i32>> {
        let role = Arc::clone(&self.credential.0);
        match (&role.role, self.accepts) {
            (Role::Server(server), true) => {
                let accepting = Accepting {
                    alpn: self.alpn,
                    mutual: self.request & ASC_REQ_MUTUAL_AUTH != 0,
                    tickets: self.request & ASC_REQ_SESSION_TICKET != 0,
                    tickets_sent: switches.session_tickets,
                    that_name_only: switches.sni_credential == SniCredential::ItsNameOnly,
                };
                let connection = server.accept(accepting).map(Connection::Server);
                Ok(connection
                    .map(|connection| Making {
                        accepts: true,
                        credential: self.credential,
                        engine: Engine::new(connection, switches.records, switches.fragments),
                        judge: Arc::clone(&server.judge),
                        target: None,
                    })
                    .map_err(|_| SEC_E_INTERNAL_ERROR))
            }
            (Role::Client(client), false) => {
                let manual = self.request & ISC_REQ_MANUAL_CRED_VALIDATION != 0;
                let named = !self.target.is_empty();
                check(
                    named || manual || !client.is_automatic(),
                    TARGET_NAME_MISSING,
                    || "pszTargetName".to_owned(),
                )?;
                let target = if named {
                    match ServerName::try_from(self.target.to_owned()) {
                        Ok(target) => Some(target),
                        Err(_) => return Ok(Err(SEC_E_TARGET_UNKNOWN)),
                    }
                } else {
                    None
                };
                let connection = client
                    .initiate(target.clone(), self.alpn, manual)
                    .map(Connection::Client);
                Ok(connection
                    .map(|connection| Making {
                        accepts: false,
                        credential: self.credential,
                        engine: Engine::new(connection, switches.records, switches.fragments),
                        judge: Arc::clone(&client.judge),
                        target,
                    })
                    .map_err(|_| SEC_E_INTERNAL_ERROR))
            }
            _ => Ok(Err(SEC_E_UNKNOWN_CREDENTIALS)),
        }
    }
}
