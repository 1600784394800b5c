//! What an open handle has: taken in until its clean-up begins, then given up and closed one by one.
//!
//! Both happen under the handle's lock: what was taken in before the clean-up is found by it, and what
//! comes later is refused. Giving up and closing happen outside the lock.

use crate::table::{self, Table};
use core::num::NonZeroU64;

/// Credentials, sessions and pended requests by id.
#[derive(Debug)]
pub struct Belongings<C, S, P> {
    /// The last handle was closed; nothing is taken in any more.
    cleaned_up: bool,
    /// By the ids that callers know.
    pub credentials: Table<C>,
    /// By the ids that callers know.
    pub sessions: Table<S>,
    /// By numbers that nobody else knows.
    pub pending: Table<P>,
}

/// Why something was not taken in; it is given back, to be dropped outside the lock.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused<T> {
    /// The handle is being cleaned up.
    CleanedUp(T),
    /// There are as many as may be.
    Full(T),
    /// There is no memory.
    OutOfMemory(T),
}

impl<C, S, P> Belongings<C, S, P> {
    /// Nothing yet; so many of each may be.
    #[must_use]
    pub const fn new(credentials: usize, sessions: usize, pending: usize) -> Self {
        Self {
            cleaned_up: false,
            credentials: Table::new(credentials),
            sessions: Table::new(sessions),
            pending: Table::new(pending),
        }
    }

    /// Takes something into one of the tables, and names it.
    ///
    /// # Errors
    ///
    /// The handle is being cleaned up, the table is full, or there is no memory.
    pub fn add<T>(
        &mut self,
        table: impl FnOnce(&mut Self) -> &mut Table<T>,
        value: T,
    ) -> Result<NonZeroU64, Refused<T>> {
        if self.cleaned_up {
            return Err(Refused::CleanedUp(value));
        }
        table(self).insert(value).map_err(|refused| match refused {
            table::Refused::Full(value) => Refused::Full(value),
            table::Refused::OutOfMemory(value) => Refused::OutOfMemory(value),
        })
    }
}

/// A handle's clean-up: what the rim brings for it, and what is made of that.
pub trait CleanUp {
    /// A credential.
    type Credential;
    /// A session.
    type Session;
    /// A pended request.
    type Pending;

    /// Runs `act` with the belongings, under the handle's lock.
    fn with<R>(
        &self,
        act: impl FnOnce(&mut Belongings<Self::Credential, Self::Session, Self::Pending>) -> R,
    ) -> R;
    /// Gives a request up.
    fn give_up(&self, pending: Self::Pending);
    /// Closes a session.
    fn close_session(&self, session: Self::Session);
    /// Closes a credential.
    fn close_credential(&self, credential: Self::Credential);

    /// Gives up every request and closes every session and credential. Allocates nothing.
    fn clean_up(&self) {
        self.with(|own| own.cleaned_up = true);
        // One at a time: completing a request and closing a session are not for under a lock.
        while let Some(pending) = self.with(|own| own.pending.drain()) {
            self.give_up(pending);
        }
        while let Some(session) = self.with(|own| own.sessions.drain()) {
            self.close_session(session);
        }
        while let Some(credential) = self.with(|own| own.credentials.drain()) {
            self.close_credential(credential);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_too_late_or_too_much_is_given_back() {
        let mut own = Belongings::<char, u8, u8>::new(2, 1, 0);
        let id = own.add(|own| &mut own.credentials, 'a').unwrap();
        assert_eq!(own.credentials.get(id.get()), Some(&'a'));
        own.add(|own| &mut own.sessions, 1).unwrap();
        let one_too_many = own.add(|own| &mut own.sessions, 2);
        assert_eq!(one_too_many, Err(Refused::Full(2)));
        own.cleaned_up = true;
        let too_late = own.add(|own| &mut own.credentials, 'b');
        assert_eq!(too_late, Err(Refused::CleanedUp('b')));
    }
}
