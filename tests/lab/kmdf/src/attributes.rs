//! `WDF_OBJECT_ATTRIBUTES`, checked and kept.

use crate::{
    ffi::In,
    handle::Handle,
    layout::{ContextType, ObjectAttributes},
    stop::stop,
};

/// A checked copy of a driver's attributes.
#[derive(Clone, Copy, Default)]
pub struct Attributes {
    /// `EvtCleanupCallback`
    pub cleanup: Option<extern "system" fn(Handle)>,
    /// `EvtDestroyCallback`
    pub destroy: Option<extern "system" fn(Handle)>,
    /// `WDF_EXECUTION_LEVEL`
    pub execution_level: u32,
    /// `WDF_SYNCHRONIZATION_SCOPE`
    pub synchronization_scope: u32,
    /// The parent that the driver names, if any.
    pub parent: Option<Handle>,
    /// The context's type, by the address of its description, and its size.
    pub context: Option<(usize, usize)>,
}

impl Attributes {
    /// Reads what the driver passed; NULL means "none".
    pub fn read(attributes: In<ObjectAttributes>) -> Self {
        let Some(given) = attributes.get() else {
            return Self::default();
        };
        if given.size as usize != size_of::<ObjectAttributes>() {
            stop!(
                "structure-size",
                "WDF_OBJECT_ATTRIBUTES.Size is {}",
                given.size
            );
        }
        // WDF_OBJECT_ATTRIBUTES_INIT sets both to 1; 0 is WdfExecutionLevelInvalid.
        if !(1..=3).contains(&given.execution_level)
            || !(1..=4).contains(&given.synchronization_scope)
        {
            stop!(
                "object-attributes",
                "not initialised by WDF_OBJECT_ATTRIBUTES_INIT"
            );
        }
        Self {
            cleanup: given.cleanup,
            destroy: given.destroy,
            execution_level: given.execution_level,
            synchronization_scope: given.synchronization_scope,
            parent: given.parent.given(),
            context: context(&given),
        }
    }

    /// STOPs when a parent is named where the documents forbid it.
    pub fn without_parent(self, what: &str) -> Self {
        if self.parent.is_some() {
            stop!("object-attributes", "{what} takes no ParentObject");
        }
        self
    }
}

fn context(given: &ObjectAttributes) -> Option<(usize, usize)> {
    let described = crate::ffi::Out::<ContextType>::at(given.context_type).get()?;
    if described.size as usize != size_of::<ContextType>() {
        stop!(
            "structure-size",
            "WDF_OBJECT_CONTEXT_TYPE_INFO.Size is {}",
            described.size
        );
    }
    if given.context_size != 0 && given.context_size < described.context_size {
        stop!(
            "object-attributes",
            "ContextSizeOverride is smaller than the type"
        );
    }
    let size = given.context_size.max(described.context_size);
    Some((described.unique, size))
}
