//! Security descriptors as drivers write them: the subset of SDDL that Windows documents for device objects.
//!
//! "SDDL for Device Objects" (windows-driver-docs): `D:P` and any number of `(A;;Access;;;SID)`;
//! access is `0x...` or codes of two letters; a SID is a code of two letters or "the fully qualified form".

/// `GENERIC_READ`
const GENERIC_READ: u32 = 0x8000_0000;
/// `GENERIC_WRITE`
const GENERIC_WRITE: u32 = 0x4000_0000;
/// `GENERIC_EXECUTE`
const GENERIC_EXECUTE: u32 = 0x2000_0000;
/// `GENERIC_ALL`
const GENERIC_ALL: u32 = 0x1000_0000;
/// `FILE_GENERIC_READ`
const FILE_READ: u32 = 0x0012_0089;
/// `FILE_GENERIC_WRITE`
const FILE_WRITE: u32 = 0x0012_0116;
/// `FILE_GENERIC_EXECUTE`
const FILE_EXECUTE: u32 = 0x0012_00A0;
/// `FILE_ALL_ACCESS`
const FILE_ALL: u32 = 0x001F_01FF;

/// The rights that have codes.
const RIGHTS: [(&str, u32); 8] = [
    ("GA", GENERIC_ALL),
    ("GR", GENERIC_READ),
    ("GW", GENERIC_WRITE),
    ("GX", GENERIC_EXECUTE),
    ("RC", 0x0002_0000),
    ("SD", 0x0001_0000),
    ("WD", 0x0004_0000),
    ("WO", 0x0008_0000),
];

/// The SIDs that have codes: the page's list.
const SIDS: [(&str, &str); 13] = [
    ("SY", "S-1-5-18"),
    ("LS", "S-1-5-19"),
    ("NS", "S-1-5-20"),
    ("BA", "S-1-5-32-544"),
    ("BU", "S-1-5-32-545"),
    ("BG", "S-1-5-32-546"),
    ("AU", "S-1-5-11"),
    ("AN", "S-1-5-7"),
    ("IU", "S-1-5-4"),
    ("NU", "S-1-5-2"),
    ("WD", "S-1-1-0"),
    ("RC", "S-1-5-12"),
    ("UD", "S-1-5-84-0-0-0-0-0"),
];

/// A protected access control list that grants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sddl(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    access: u32,
    sid: String,
}

impl Sddl {
    /// Reads a descriptor; `None` if it is not as the page says.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix("D:P")?;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let (entry, behind) = rest.strip_prefix('(')?.split_once(')')?;
            entries.push(Entry::parse(entry)?);
            rest = behind;
        }
        Some(Self(entries))
    }

    /// Whether somebody with these SIDs gets all of the access asked for. `MAXIMUM_ALLOWED` is not here.
    pub fn grants(&self, sids: &[String], wanted: u32) -> bool {
        let granted = self
            .0
            .iter()
            .filter(|entry| sids.contains(&entry.sid))
            .fold(0, |granted, entry| granted | file_rights(entry.access));
        let wanted = file_rights(wanted);
        wanted & !granted == 0 && granted != 0
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let [kind, flags, access, object, inherited, sid] =
            text.split(';').collect::<Vec<_>>().try_into().ok()?;
        if kind != "A"
            || [flags, object, inherited]
                .iter()
                .any(|part| !part.is_empty())
        {
            return None;
        }
        Some(Self {
            access: rights(access)?,
            sid: read_sid(sid)?,
        })
    }
}

fn rights(text: &str) -> Option<u32> {
    if let Some(digits) = text.strip_prefix("0x") {
        let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        return is_number
            .then(|| u32::from_str_radix(digits, 16).ok())?
            .filter(|&access| access != 0);
    }
    let mut rest = text;
    let mut access = 0;
    while !rest.is_empty() {
        let (code, behind) = rest.split_at_checked(2)?;
        access |= RIGHTS.iter().find(|(name, _)| *name == code)?.1;
        rest = behind;
    }
    (access != 0).then_some(access)
}

fn read_sid(text: &str) -> Option<String> {
    if let Some((_, sid)) = SIDS.iter().find(|(code, _)| *code == text) {
        return Some((*sid).to_owned());
    }
    let mut parts = text.strip_prefix("S-1-")?.split('-');
    let authority = parts.next()?;
    let parts: Vec<&str> = parts.collect();
    let is_number = |part: &&str| part.bytes().all(|digit| digit.is_ascii_digit());
    let sound = (1..=15).contains(&parts.len())
        && [authority].iter().chain(&parts).all(is_number)
        && authority
            .parse::<u64>()
            .is_ok_and(|number| number < 1 << 48)
        && parts.iter().all(|part| part.parse::<u32>().is_ok());
    sound.then(|| text.to_owned())
}

/// Generic rights as those of files, which the I/O manager maps them to (`IoGetFileObjectGenericMapping`).
fn file_rights(access: u32) -> u32 {
    let generic = [
        (GENERIC_READ, FILE_READ),
        (GENERIC_WRITE, FILE_WRITE),
        (GENERIC_EXECUTE, FILE_EXECUTE),
        (GENERIC_ALL, FILE_ALL),
    ];
    generic
        .iter()
        .filter(|(bit, _)| access & bit != 0)
        .fold(access & 0x0FFF_FFFF, |rights, (_, file)| rights | file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "S-1-5-80-1-2-3-4-5";

    fn sids(sids: &[&str]) -> Vec<String> {
        sids.iter().map(|&sid| sid.to_owned()).collect()
    }

    #[test]
    fn rights_are_granted_to_whom_they_are_given() {
        let sddl = format!("D:P(A;;GA;;;SY)(A;;GRGW;;;BA)(A;;0x120089;;;{SERVICE})");
        let sddl = Sddl::parse(&sddl).unwrap();
        let (system, administrator) = (sids(&["S-1-5-18"]), sids(&["S-1-1-0", "S-1-5-32-544"]));
        assert!(sddl.grants(&system, GENERIC_ALL));
        assert!(sddl.grants(&administrator, GENERIC_READ | GENERIC_WRITE));
        assert!(!sddl.grants(&administrator, 0x0001_0000));
        assert!(sddl.grants(&sids(&[SERVICE]), GENERIC_READ));
        assert!(!sddl.grants(&sids(&[SERVICE]), GENERIC_WRITE));
        assert!(!sddl.grants(&sids(&["S-1-1-0"]), 0));
        assert!(!sddl.grants(&[], GENERIC_READ));
        // SDDL_DEVOBJ_KERNEL_ONLY
        assert!(!Sddl::parse("D:P").unwrap().grants(&system, GENERIC_READ));
    }

    #[test]
    fn what_the_page_does_not_have_is_refused() {
        for wrong in [
            "",
            "D:",
            "D:(A;;GA;;;SY)",
            "D:PAI(A;;GA;;;SY)",
            "O:SYD:P(A;;GA;;;SY)",
            "D:P(A;;GA;;;SY",
            "D:P(A;;GA;;;SY)S:(ML;;NW;;;HI)",
            "D:P(D;;GA;;;WD)",
            "D:P(A;OI;GA;;;SY)",
            "D:P(A;;;;;SY)",
            "D:P(A;;FA;;;SY)",
            "D:P(A;;G;;;SY)",
            "D:P(A;;GAé;;;SY)",
            "D:P(A;;0x;;;SY)",
            "D:P(A;;0x+1;;;SY)",
            "D:P(A;;0x100000000;;;SY)",
            "D:P(A;;GA;;;XX)",
            "D:P(A;;GA;;;)",
            "D:P(A;;GA;;)",
            "D:P(A;;GA;;;SY;)",
            "D:P(A;;GA;;;S-1-5)",
            "D:P(A;;GA;;;S-1-5-)",
            "D:P(A;;GA;;;S-1-5-4294967296)",
            "D:P(A;;GA;;;S-2-5-18)",
            " D:P(A;;GA;;;SY)",
        ] {
            assert!(Sddl::parse(wrong).is_none(), "{wrong}");
        }
    }
}
