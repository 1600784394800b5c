//! Calls through the framework's function table.
//!
//! The macro of wdk-sys checks the table's length on each call, which leaves a panic in the image;
//! a driver bound to KMDF 1.33 has every entry that the 1.33 headers number, or is not loaded.

use wdk_sys::{PWDF_DRIVER_GLOBALS, WdfDriverGlobals, WdfFunctions};

/// A pointer type of the function table (`PFN_WDF...`), with its arguments behind the globals.
pub trait TableFunction<Arguments>: Copy {
    /// What the function returns.
    type Output;

    /// Calls it.
    ///
    /// # Safety
    ///
    /// As for the function itself; `self` is not `None`.
    unsafe fn call(self, globals: PWDF_DRIVER_GLOBALS, arguments: Arguments) -> Self::Output;
}

macro_rules! table_function {
    ($($name:ident $value:ident),+) => {
        impl<Output, $($name),+> TableFunction<($($name,)+)>
            for Option<unsafe extern "C" fn(PWDF_DRIVER_GLOBALS, $($name),+) -> Output>
        {
            type Output = Output;

            unsafe fn call(
                self,
                globals: PWDF_DRIVER_GLOBALS,
                ($($value,)+): ($($name,)+),
            ) -> Output {
                // SAFETY: not `None` (this function's contract).
                let function = unsafe { self.unwrap_unchecked() };
                // SAFETY: this function's contract.
                unsafe { function(globals, $($value),+) }
            }
        }
    };
}

table_function!(A a);
table_function!(A a, B b);
table_function!(A a, B b, C c);
table_function!(A a, B b, C c, D d);
table_function!(A a, B b, C c, D d, E e);
table_function!(A a, B b, C c, D d, E e, F f);

/// Calls the function of type `P` at `index` of the table.
///
/// # Safety
///
/// `P` is the type of that entry, and the function's own rules are kept.
pub unsafe fn call<P: TableFunction<A>, A>(index: i32, arguments: A) -> P::Output {
    // SAFETY: the entry code sets it before `DriverEntry`, and never again.
    let globals = unsafe { WdfDriverGlobals };
    // SAFETY: as above.
    let table = unsafe { WdfFunctions };
    #[expect(
        clippy::cast_sign_loss,
        reason = "table indices are small and positive"
    )]
    // SAFETY: KMDF has checked that it offers the whole table of the version we are bound to.
    let entry = unsafe { table.add(index as usize) };
    // SAFETY: the entry holds a function pointer of type `P` (this function's contract).
    let function = unsafe { entry.cast::<P>().read() };
    // SAFETY: this function's contract; entries of the table are not null.
    unsafe { function.call(globals, arguments) }
}

/// `wdf!(PFN_WDFSPINLOCKACQUIRE[WdfSpinLockAcquireTableIndex](lock))`, in an unsafe block.
macro_rules! wdf {
    ($type:ident[$index:ident]($($argument:expr),* $(,)?)) => {
        $crate::kmdf::call::call::<wdk_sys::$type, _>(
            wdk_sys::_WDFFUNCENUM::$index,
            ($($argument,)*),
        )
    };
}
pub(crate) use wdf;
