//! Who may open the device: checks the SDDL that an administrator has put into the `Parameters` key.
//!
//! The form is the one of Microsoft's page "SDDL for Device Objects": `D:P`, then entries
//! `(A;;Access;;;SID)`. This is stricter than Windows: it takes only entries that allow, only whom it
//! knows to be an account or a group of administrators, and only the shortest way to write it, so
//! that nothing is let through that it did not understand. Who is everyone under another name (World,
//! Authenticated Users, Users, Interactive, ...) is refused: a caller can do nothing with another's
//! key, but it could use up what there is for all.

/// Most UTF-16 units of a text, without a terminator.
pub const MOST_UNITS: usize = 512;

/// Most entries.
const MOST_ENTRIES: usize = 16;

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where: an offset in UTF-16 units.
    pub at: usize,
    /// What is wrong there.
    pub what: What,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The text is longer than [`MOST_UNITS`].
    TooLong,
    /// It does not begin with `D:P`: it is not a protected DACL and nothing else.
    NotProtected,
    /// There is no entry: no one would get in, or everyone.
    Empty,
    /// There are more than sixteen entries.
    TooManyEntries,
    /// An entry does not begin with `(A;;`: it does not simply allow.
    NotAllow,
    /// The access is not a sequence of generic or file rights, nor a hexadecimal mask.
    Access,
    /// The access is not followed by `;;;`: there is an object GUID.
    NotPlain,
    /// This is not the alias or the SID of an account that is known here.
    Unknown,
    /// This is everyone, or nearly, under one of its names.
    TooOpen,
    /// The entry does not end.
    Unfinished,
}

/// Generic rights and file rights.
const RIGHTS: [&[u8; 2]; 8] = [b"GA", b"GR", b"GW", b"GX", b"FA", b"FR", b"FW", b"FX"];

/// Accounts and groups of administrators: System, Administrators, Local Service, Network Service, the
/// local, domain and enterprise administrators, server, backup and cryptographic operators.
const KNOWN: [&[u8; 2]; 10] = [
    b"SY", b"BA", b"LS", b"NS", b"LA", b"DA", b"EA", b"SO", b"BO", b"CY",
];

/// World, Anonymous, Authenticated Users, the built-in Users and Guests, Interactive, Network, all
/// application packages, restricted code, all services, pre-Windows-2000 access, power users and
/// remote desktop users, the domain's users, guests and computers, the guest account, self, and
/// creator.
const OPEN: [&[u8; 2]; 19] = [
    b"WD", b"AN", b"AU", b"BU", b"BG", b"IU", b"NU", b"AC", b"RC", b"SU", b"RU", b"PU", b"RD",
    b"DU", b"DG", b"DC", b"LG", b"PS", b"CO",
];

/// Most parts of a SID behind its authority.
const MOST_PARTS: usize = 15;

/// Checks a text, without its terminator.
///
/// # Errors
///
/// The first fault: the text is not to be used.
pub fn check(text: &[u16]) -> Result<(), Fault> {
    let mut cursor = Cursor { text, at: 0 };
    if text.len() > MOST_UNITS {
        return Err(Fault {
            at: MOST_UNITS,
            what: What::TooLong,
        });
    }
    cursor.expect(b"D:P", What::NotProtected)?;
    for _ in 0..MOST_ENTRIES {
        entry(&mut cursor)?;
        if cursor.rest().is_empty() {
            return Ok(());
        }
    }
    Err(cursor.fault(What::TooManyEntries))
}

fn entry(cursor: &mut Cursor) -> Result<(), Fault> {
    if cursor.rest().is_empty() {
        return Err(cursor.fault(What::Empty));
    }
    cursor.expect(b"(A;;", What::NotAllow)?;
    let fault = cursor.fault(What::Access);
    if !is_access(cursor.until(b';')?) {
        return Err(fault);
    }
    cursor.expect(b";;;", What::NotPlain)?;
    let start = cursor.at;
    let trustee = cursor.until(b')')?;
    judge(trustee).map_err(|what| Fault { at: start, what })?;
    cursor.expect(b")", What::Unfinished)
}

fn is_access(text: &[u16]) -> bool {
    if let Some((prefix, digits)) = text.split_first_chunk::<2>()
        && equal(prefix, b"0x")
    {
        let digit = |unit: &u16| u8::try_from(*unit).is_ok_and(|byte| byte.is_ascii_hexdigit());
        // A mask of nothing is a mistake.
        return (1..=8).contains(&digits.len())
            && digits.iter().all(digit)
            && !digits.iter().all(|unit| *unit == u16::from(b'0'));
    }
    let (pairs, rest) = text.as_chunks::<2>();
    let known = |pair: &[u16; 2]| RIGHTS.iter().any(|right| equal(pair, *right));
    !pairs.is_empty() && rest.is_empty() && pairs.iter().all(known)
}

fn judge(trustee: &[u16]) -> Result<(), What> {
    if let [prefix @ .., last] = trustee
        && let [first] = prefix
    {
        let alias = [*first, *last];
        let among = |list: &[&[u8; 2]]| list.iter().any(|known| equal(&alias, *known));
        return match (among(&KNOWN), among(&OPEN)) {
            (true, _) => Ok(()),
            (_, true) => Err(What::TooOpen),
            _ => Err(What::Unknown),
        };
    }
    let mut parts = [0; MOST_PARTS];
    let (authority, parts) = sid(trustee, &mut parts).ok_or(What::Unknown)?;
    if is_narrow(authority, parts) {
        Ok(())
    } else {
        Err(What::TooOpen)
    }
}

/// The authority of a SID and its further parts, from its text: decimal, without leading zeros.
fn sid<'a>(text: &[u16], parts: &'a mut [u32; MOST_PARTS]) -> Option<(u32, &'a [u32])> {
    let (prefix, rest) = text.split_first_chunk::<4>()?;
    if !equal(prefix, b"S-1-") {
        return None;
    }
    let mut numbers = rest.split(|unit| *unit == u16::from(b'-'));
    let authority = number(numbers.next()?)?;
    let mut count = 0_usize;
    for text in numbers {
        *parts.get_mut(count)? = number(text)?;
        count = count.saturating_add(1);
    }
    Some((authority, parts.get(..count)?))
}

fn number(text: &[u16]) -> Option<u32> {
    if text.is_empty() || (text.len() > 1 && text.first() == Some(&u16::from(b'0'))) {
        return None;
    }
    text.iter().try_fold(0_u32, |value, unit| {
        let digit = char::from_u32(u32::from(*unit))?.to_digit(10)?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether a SID is an account or a group of administrators (Microsoft's page "Well-known SIDs").
fn is_narrow(authority: u32, parts: &[u32]) -> bool {
    match (authority, parts) {
        // System, Local Service, Network Service; a service; an application pool; administrators,
        // server, backup and cryptographic operators; an Entra ID account.
        (5, [18..=20] | [80 | 82, _, _, _, _, _] | [32, 544 | 549 | 551 | 569])
        | (12, [1, _, _, _, _]) => true,
        // Of a machine or a domain: accounts and groups that someone made, and administrators.
        (5, [21, _, _, _, relative]) => *relative >= 1000 || matches!(relative, 500 | 512 | 519),
        _ => false,
    }
}

fn equal(text: &[u16], wanted: &[u8]) -> bool {
    text.iter()
        .copied()
        .eq(wanted.iter().copied().map(u16::from))
}

/// A place in the text.
struct Cursor<'a> {
    text: &'a [u16],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u16] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fault(&self, what: What) -> Fault {
        Fault { at: self.at, what }
    }

    fn expect(&mut self, wanted: &[u8], what: What) -> Result<(), Fault> {
        let found = self.rest().get(..wanted.len());
        if !found.is_some_and(|found| equal(found, wanted)) {
            return Err(self.fault(what));
        }
        self.at = self.at.saturating_add(wanted.len());
        Ok(())
    }

    /// What is in front of the next `end`, which is left.
    fn until(&mut self, end: u8) -> Result<&'a [u16], Fault> {
        let end = u16::from(end);
        let (found, _) = self
            .rest()
            .iter()
            .position(|unit| *unit == end)
            .and_then(|length| self.rest().split_at_checked(length))
            .ok_or(self.fault(What::Unfinished))?;
        self.at = self.at.saturating_add(found.len());
        Ok(found)
    }
}

#[cfg(test)]
#[path = "sddl_tests.rs"]
mod tests;
