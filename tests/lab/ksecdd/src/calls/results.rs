//! Where a leg's input is and its results go.

use crate::{
    buffers::{Input, Output},
    calls::{acquire::NEVER, leg::Leg},
    context::SecurityContext,
    handles::{self, Kind},
    ksecdd::Ksecdd,
    memory::{Place, Watch, get},
    rules::{Checked, INPUT_CHANGED, NEW_CONTEXT, NULL_ARGUMENT, OUTPUT_TOUCHED, check},
    tls::outcome::Outcome,
};
use tlsgate_lab_control::ksecdd::Switches;
use windows_sys::Win32::{
    Foundation::{SEC_E_BUFFER_TOO_SMALL, SEC_E_OK},
    Security::Authentication::Identity::{
        ASC_REQ_MUTUAL_AUTH, ASC_REQ_SESSION_TICKET, ASC_RET_MUTUAL_AUTH,
    },
};

/// Where a leg's input is and its results go.
pub struct Results {
    /// The input.
    pub input: Input,
    /// The output.
    pub output: Output,
    new_context: Place,
    attributes: Place,
    granted: u32,
    expiry: Option<Place>,
}

impl Results {
    /// Reads, checks and watches what a leg is given.
    ///
    /// # Safety
    ///
    /// What pointers to accessible memory point to is of the type they say.
    pub unsafe fn read(
        ksecdd: &Ksecdd,
        leg: &Leg,
        accepts: bool,
        watch: &mut Watch,
    ) -> Checked<Self> {
        let machine = &*ksecdd.machine;
        let first = leg.context.is_null();
        let input = if first && !accepts {
            // SAFETY: as this function's caller asserts.
            unsafe { Input::read_first_of_client(machine, leg.input) }?
        } else {
            // SAFETY: as this function's caller asserts.
            unsafe { Input::read(machine, leg.input, first) }?
        };
        // SAFETY: as this function's caller asserts.
        let output = unsafe { Output::read(machine, leg.output) }?;
        let new_context = Place::of(machine, "phNewContext", leg.new_context)?;
        if !first {
            // SAFETY: as this function's caller asserts.
            let old = unsafe { get(machine, "phContext", leg.context) }?;
            // SAFETY: as this function's caller asserts.
            let new = unsafe { get(machine, "phNewContext", leg.new_context) }?;
            check(
                (old.dwLower, old.dwUpper) == (new.dwLower, new.dwUpper),
                NEW_CONTEXT,
                || "phNewContext names another context than phContext".to_owned(),
            )?;
        }
        check(!leg.attributes.is_null(), NULL_ARGUMENT, || {
            "pfContextAttr".to_owned()
        })?;
        let attributes = Place::of(machine, "pfContextAttr", leg.attributes)?;
        let expiry = if leg.expiry.is_null() {
            None
        } else {
            Some(Place::of(machine, "ptsExpiry", leg.expiry)?)
        };
        // SAFETY: all of it was found accessible; the driver's call is under way.
        unsafe { input.watch(watch) };
        // SAFETY: likewise.
        unsafe { output.watch(watch) };
        for place in [Some(new_context), Some(attributes), expiry]
            .into_iter()
            .flatten()
        {
            // SAFETY: likewise.
            unsafe { watch.add(place, OUTPUT_TOUCHED, true) };
        }
        if !first {
            let place = Place::of(machine, "phContext", leg.context)?;
            // SAFETY: likewise.
            unsafe { watch.add(place, INPUT_CHANGED, false) };
        }
        let granted = leg.request & !(ASC_REQ_MUTUAL_AUTH | ASC_REQ_SESSION_TICKET);
        Ok(Self {
            input,
            output,
            new_context,
            attributes,
            granted,
            expiry,
        })
    }

    /// Writes what a leg with so many bytes of input came to.
    ///
    /// # Safety
    ///
    /// The memory is still there, and nobody else uses it.
    pub unsafe fn write(
        &self,
        outcome: &Outcome,
        input: usize,
        context: Option<&SecurityContext>,
        switches: &Switches,
    ) {
        // SAFETY: as this function's caller asserts.
        unsafe { self.output.fill(outcome, switches) };
        if outcome.status != SEC_E_BUFFER_TOO_SMALL {
            let consumed_some = outcome.status >= SEC_E_OK;
            let extra = if consumed_some {
                input - outcome.consumed
            } else {
                0
            };
            // SAFETY: as this function's caller asserts.
            unsafe { self.input.report(extra, outcome.missing, switches) };
        }
        let mut granted = self.granted;
        if let Some(context) = context {
            let handle = handles::handle(Kind::Context, context.id);
            // SAFETY: as this function's caller asserts.
            unsafe { self.new_context.put(handle) };
            let known = context.with_session(|session| !session.facts.peer_certificates.is_empty());
            if known == Some(true) {
                granted |= ASC_RET_MUTUAL_AUTH;
            }
        }
        // SAFETY: as this function's caller asserts.
        unsafe { self.attributes.put(granted) };
        if let Some(expiry) = self.expiry.filter(|_| outcome.status == SEC_E_OK) {
            // SAFETY: as this function's caller asserts.
            unsafe { expiry.put(NEVER) };
        }
    }
}
