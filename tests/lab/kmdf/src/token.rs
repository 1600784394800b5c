//! Access tokens: who a thread acts for. Wine has none, so they are the stand-in's own.
//!
//! A token stands for a process and, unless it is the process's primary one, an impersonation
//! level, and for an account. It is passed to the driver as an address that cannot be read through.
//! References are counted.

use crate::{
    account::AccountNumber,
    control,
    ffi::{In, Out},
    layout::NtStatus,
    mine::Mine,
    object::lock,
    stop::stop,
    wdm,
};
use std::{
    cell::Cell,
    collections::HashMap,
    sync::{LazyLock, Mutex},
};
use tlsgate_lab_control::kmdf::{self, Account};
use windows_sys::Win32::Foundation::{STATUS_BAD_IMPERSONATION_LEVEL, STATUS_SUCCESS};

/// The upper bits of a token's address.
const MARK: u64 = 0x544B << 48;
/// Where an account's number stands, and its bits; a process's id and a level are below.
const ACCOUNT_SHIFT: u32 = 40;
const ACCOUNT_MASK: u64 = 0xFF << ACCOUNT_SHIFT;
/// The process of threads that act for nobody else.
const SYSTEM: u32 = 4;
/// The level of a primary token, next to the four of `SECURITY_IMPERSONATION_LEVEL`.
const PRIMARY: u8 = 0xFF;
/// `SECURITY_STATIC_TRACKING`
const STATIC_TRACKING: u8 = 0;

/// `PACCESS_TOKEN`; 0 is NULL.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Token(u64);

impl Token {
    const NONE: Self = Self(0);

    fn new(process: u32, account: AccountNumber, level: u8) -> Self {
        let account = u64::from(u8::from(account)) << ACCOUNT_SHIFT;
        Self(MARK | account | u64::from(process) << 8 | u64::from(level))
    }

    fn account(self) -> AccountNumber {
        AccountNumber::from(self.0.to_le_bytes()[5])
    }

    fn process(self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "made of 32 bits")]
        let process = ((self.0 & !MARK) >> 8) as u32;
        process
    }

    fn level(self) -> u8 {
        self.0.to_le_bytes()[0]
    }

    /// Whether an address that the driver passes is a token's.
    pub fn is(address: usize) -> bool {
        address as u64 & MARK == MARK && references_of(Self(address as u64)) > 0
    }
}

/// Who issued a request.
#[derive(Clone, Copy)]
pub struct Caller {
    /// The process.
    pub process: u32,
    /// The account of its token.
    account: AccountNumber,
    /// The level at which its thread impersonates, if it does.
    level: Option<u8>,
}

impl Caller {
    /// The one for whom Wine's dispatch thread is at work.
    pub fn of_dispatch() -> Self {
        Self::of_process(wdm::current_process())
    }

    /// Who issues requests from this process.
    pub fn of_process(process: u32) -> Self {
        let switches = control::switches();
        let level = match switches.caller {
            kmdf::Caller::Primary => None,
            kmdf::Caller::Impersonating(level) => Some(level),
        };
        let account = switches.accounts.get(&process);
        Self {
            process,
            account: AccountNumber::of(account.unwrap_or(&switches.account)),
            level,
        }
    }

    /// Its account.
    pub fn account(self) -> Account {
        self.account.account()
    }
}

/// `SECURITY_SUBJECT_CONTEXT`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SubjectContext {
    client: Token,
    level: u32,
    primary: Token,
    audit_id: usize,
}

/// `SECURITY_QUALITY_OF_SERVICE`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Quality {
    length: u32,
    level: u32,
    tracking: u8,
    effective_only: u8,
}

/// `SECURITY_CLIENT_CONTEXT`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ClientContext {
    quality: Quality,
    token: Token,
    direct: u8,
    direct_effective_only: u8,
    remote: u8,
    control: [u32; 10],
}

const _: () = {
    assert!(size_of::<SubjectContext>() == 32);
    assert!(size_of::<Quality>() == 12);
    assert!(size_of::<ClientContext>() == 72);
    assert!(std::mem::offset_of!(ClientContext, control) == 28);
};

/// The token the driver impersonates on this thread.
static CURRENT: Mine<Cell<Option<Token>>> = Mine::new(|| Cell::new(None));
/// Whose request this thread carries in.
static CALLER: Mine<Cell<Option<Caller>>> = Mine::new(|| Cell::new(None));

static REFERENCES: LazyLock<Mutex<HashMap<Token, usize>>> = LazyLock::new(Mutex::default);

/// What the driver impersonates on this thread.
pub fn current() -> Option<Token> {
    CURRENT.get().get()
}

/// Runs `callback` on a thread that is the caller's, or nobody's.
pub fn on_behalf<R>(caller: Option<Caller>, callback: impl FnOnce() -> R) -> R {
    let outer = CALLER.get().replace(caller);
    let result = callback();
    CALLER.get().set(outer);
    result
}

/// `PsGetCurrentProcessId`: the caller's process where Windows would run on its thread.
pub fn process_id() -> usize {
    CALLER.get().get().map_or(SYSTEM, |caller| caller.process) as usize
}

/// All references to tokens.
pub fn references() -> usize {
    lock(&REFERENCES).values().sum()
}

fn references_of(token: Token) -> usize {
    lock(&REFERENCES).get(&token).copied().unwrap_or_default()
}

fn reference(token: Token) -> Token {
    *lock(&REFERENCES).entry(token).or_default() += 1;
    token
}

/// `PsDereferencePrimaryToken`, `PsDereferenceImpersonationToken`, and `ObDereferenceObject` of a
/// token.
pub fn dereference(token: Token) {
    let mut references = lock(&REFERENCES);
    match references.get_mut(&token) {
        Some(count) if *count > 1 => *count -= 1,
        Some(_) => _ = references.remove(&token),
        None => stop!(
            "token-over-dereference",
            "{}: {:#x}",
            crate::call::function(),
            token.0
        ),
    }
}

/// `ObDereferenceObject` of what [`Token::is`].
pub fn dereference_address(address: usize) {
    dereference(Token(address as u64));
}

/// STOPs when tokens are left.
pub fn check_at_unload() {
    let left = references();
    if left > 0 {
        stop!("token-leak", "{left} references at unload");
    }
}

/// `SeCaptureSubjectContext`
pub fn capture(result: Out<SubjectContext>) {
    let caller = CALLER.get().get();
    let (process, account) = caller.map_or((SYSTEM, AccountNumber::SYSTEM), |caller| {
        (caller.process, caller.account)
    });
    let thread = CURRENT.get().get().or_else(|| {
        caller
            .and_then(|caller| caller.level)
            .map(|level| Token::new(process, account, level))
    });
    result.set(SubjectContext {
        client: thread.map_or(Token::NONE, reference),
        level: thread.map_or(0, |token| u32::from(token.level())),
        primary: reference(Token::new(process, account, PRIMARY)),
        audit_id: process as usize,
    });
}

/// `SeReleaseSubjectContext`
pub fn release(context: Out<SubjectContext>) {
    let Some(given) = context.get() else {
        stop!("null-pointer", "SubjectContext is NULL")
    };
    if given.client != Token::NONE {
        dereference(given.client);
    }
    dereference(given.primary);
    context.set(SubjectContext {
        client: Token::NONE,
        primary: Token::NONE,
        ..given
    });
}

/// `SeCreateClientSecurityFromSubjectContext`: refuses to let the server impersonate deeper than
/// its client allows.
pub fn create_client_security(
    subject: In<SubjectContext>,
    quality: In<Quality>,
    remote: u8,
    result: Out<ClientContext>,
) -> NtStatus {
    let subject = subject.need("SubjectContext");
    let quality = quality.need("ClientSecurityQos");
    if quality.length as usize != size_of::<Quality>() {
        stop!(
            "structure-size",
            "SECURITY_QUALITY_OF_SERVICE.Length is {}",
            quality.length
        );
    }
    let Ok(level @ 0..=3) = u8::try_from(quality.level) else {
        stop!(
            "impersonation-level",
            "ImpersonationLevel is {}",
            quality.level
        );
    };
    let source = if subject.client == Token::NONE {
        subject.primary
    } else {
        subject.client
    };
    if source.level() != PRIMARY && source.level() < level {
        return STATUS_BAD_IMPERSONATION_LEVEL;
    }
    // Static tracking makes a copy that impersonates at the level asked for; dynamic takes the
    // token itself.
    let is_static = quality.tracking == STATIC_TRACKING;
    let token = if is_static {
        Token::new(source.process(), source.account(), level)
    } else {
        source
    };
    result.set(ClientContext {
        quality,
        token: reference(token),
        direct: u8::from(!is_static),
        direct_effective_only: 0,
        remote,
        control: [0; 10],
    });
    STATUS_SUCCESS
}

/// `SeCreateClientSecurity`, of the current thread whichever is passed.
pub fn create_client_security_of_thread(
    _thread: usize,
    quality: In<Quality>,
    remote: u8,
    result: Out<ClientContext>,
) -> NtStatus {
    let mut subject = SubjectContext {
        client: Token::NONE,
        level: 0,
        primary: Token::NONE,
        audit_id: 0,
    };
    capture(Out::at(&raw mut subject as usize));
    let status = create_client_security(In::of(&subject), quality, remote, result);
    release(Out::at(&raw mut subject as usize));
    status
}

/// `SeImpersonateClientEx`, on the current thread whichever is passed.
pub fn impersonate(context: In<ClientContext>, _thread: usize) -> NtStatus {
    let context = context.need("ClientContext");
    if references_of(context.token) == 0 {
        stop!("token-use-after-free", "SeImpersonateClientEx");
    }
    if CURRENT.get().get().is_some() {
        stop!("impersonated-twice", "the thread impersonates already");
    }
    let level = context.quality.level.to_le_bytes()[0];
    let token = context.token;
    CURRENT.get().set(Some(reference(Token::new(
        token.process(),
        token.account(),
        level,
    ))));
    STATUS_SUCCESS
}

/// `PsRevertToSelf`
pub fn revert() {
    match CURRENT.get().take() {
        Some(token) => dereference(token),
        None => stop!("revert-without-impersonation", "PsRevertToSelf"),
    }
}

/// `SeTokenType`: `TokenPrimary` or `TokenImpersonation`.
pub fn kind(token: Token) -> u32 {
    if references_of(token) == 0 {
        stop!("token-use-after-free", "SeTokenType");
    }
    if token.level() == PRIMARY { 1 } else { 2 }
}

/// `LabCurrentToken` of the lab's C interface: whom the calling thread impersonates, as process id
/// << 8 | level; 0 for nobody. Other stand-ins note with it who made a call.
#[unsafe(no_mangle)]
pub extern "system" fn LabCurrentToken() -> u64 {
    CURRENT
        .get()
        .get()
        .map_or(0, |token| token.0 & !(MARK | ACCOUNT_MASK))
}

/// `LabTokenAccount` of the lab's C interface: the account that the calling thread acts for, whom it
/// impersonates, else its own process's: "SYSTEM", "Administrators", or the name of a service or user. Writes
/// UTF-16 units without a final zero to `buffer`, if `capacity` units are enough for all of them, and gives
/// their number.
///
/// # Safety
///
/// `buffer` has place for `capacity` units.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn LabTokenAccount(buffer: *mut u16, capacity: usize) -> usize {
    let account = CURRENT.get().get().map(Token::account).or_else(|| {
        let caller = CALLER.get().get();
        caller.map(|caller| caller.account)
    });
    let account = account.unwrap_or(AccountNumber::SYSTEM).account();
    let name: Vec<u16> = account.name().encode_utf16().collect();
    if name.len() <= capacity {
        for (index, unit) in name.iter().enumerate() {
            Out::at(buffer as usize + 2 * index).set(*unit);
        }
    }
    name.len()
}
