//! Framework objects: handles, parents, references, contexts, callbacks.

use crate::{
    attributes::Attributes,
    call, callback,
    context::Context,
    ffi::{In, Out},
    handle::{Handle, Kind},
    irql,
    layout::{NtStatus, ObjectAttributes},
    stop::stop,
};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::{
    any::Any,
    collections::BTreeMap,
    ops::Deref,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};
use windows_sys::Win32::Foundation::{STATUS_OBJECT_NAME_EXISTS, STATUS_SUCCESS};

/// What makes an object of one kind different from one of another.
pub trait Body: Any + Send + Sync {
    /// The kind.
    const KIND: Kind;

    /// The object is being deleted: whatever might call the driver for it must stop.
    fn deleted(&self, _handle: Handle) {}

    /// The body is about to be freed: the last reference has gone.
    fn freed(&self) {}
}

/// One framework object, of any kind.
pub struct Object<B: ?Sized = dyn Any + Send + Sync> {
    /// What the driver knows it by.
    pub handle: Handle,
    /// What the driver asked for when it created it.
    pub attributes: Attributes,
    parent: Option<Handle>,
    deleted: fn(&Object),
    freed: fn(&Object),
    /// Few have more than one.
    contexts: Mutex<SmallVec<[Context; 1]>>,
    /// Changed under the lock of `state`.
    is_deleted: AtomicBool,
    state: Mutex<State>,
    body: B,
}

struct State {
    references: u32,
    /// By their numbers, so in the order of their creation.
    children: BTreeMap<u64, Handle>,
}

/// An object whose kind is known.
pub struct Ref<T> {
    object: Arc<Object>,
    kind: std::marker::PhantomData<fn() -> T>,
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        Self {
            object: Arc::clone(&self.object),
            kind: self.kind,
        }
    }
}

impl<T: Body> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        debug_assert!(self.object.body.is::<T>());
        // SAFETY: whoever makes a `Ref` has compared the type, and a body's never changes.
        unsafe { &*(&raw const self.object.body).cast::<T>() }
    }
}

impl Object {
    /// Whether it is deleted, though a reference may keep it.
    pub fn is_deleted(&self) -> bool {
        self.is_deleted.load(Ordering::Acquire)
    }

    /// What it is, which must be of kind `T`.
    fn body<T: Body>(&self) -> &T {
        self.body.downcast_ref().unwrap_or_else(|| {
            stop!(
                "wrong-handle-type",
                "{} wants a {:?} and got a {:?}",
                call::function(),
                T::KIND,
                self.handle.kind()
            )
        })
    }
}

impl<T> Ref<T> {
    /// What the driver knows it by.
    pub fn handle(&self) -> Handle {
        self.object.handle
    }

    /// The object, whatever its kind.
    #[cfg(feature = "bench")]
    pub fn object(self) -> Arc<Object> {
        self.object
    }

    /// What the driver asked for when it created it.
    pub fn attributes(&self) -> &Attributes {
        &self.object.attributes
    }

    /// The parent object.
    pub fn parent(&self) -> Option<Handle> {
        self.object.parent
    }
}

/// Objects by their handles.
type Objects = FxHashMap<Handle, Arc<Object>>;

/// In parts, so that threads do not wait for one another; a handle's number says in which.
static OBJECTS: LazyLock<[RwLock<Objects>; PARTS]> =
    LazyLock::new(|| std::array::from_fn(|_| RwLock::default()));
const PARTS: usize = 64;
const _: () = assert!(PARTS.is_power_of_two());

fn part(handle: Handle) -> &'static RwLock<Objects> {
    /// Of the number, as many bits as there are parts.
    const MASK: u64 = PARTS as u64 - 1;
    let part = usize::try_from(handle.number() & MASK).unwrap_or_default();
    &OBJECTS[part]
}

fn reading(handle: Handle) -> RwLockReadGuard<'static, Objects> {
    part(handle).read().unwrap_or_else(PoisonError::into_inner)
}

fn writing(handle: Handle) -> RwLockWriteGuard<'static, Objects> {
    part(handle).write().unwrap_or_else(PoisonError::into_inner)
}

/// What `look` makes of the objects that live, part by part.
fn among_all<T>(look: impl Fn(&Arc<Object>) -> Option<T>) -> Vec<T> {
    let look = &look;
    let parts = OBJECTS.iter().flat_map(|part| {
        let objects = part.read().unwrap_or_else(PoisonError::into_inner);
        objects.values().filter_map(look).collect::<Vec<_>>()
    });
    parts.collect()
}

/// Locks a mutex of the stand-in. None is ever poisoned: a panic ends the process.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes an object. `parent` is where it hangs when the driver does not say.
pub fn create<T: Body>(attributes: &Attributes, parent: Option<Handle>, body: T) -> Ref<T> {
    let parent = attributes.parent.or(parent);
    let object: Arc<Object> = Arc::new(Object {
        handle: Handle::new(T::KIND),
        attributes: *attributes,
        parent,
        deleted: |object| {
            if let Some(body) = object.body.downcast_ref::<T>() {
                body.deleted(object.handle);
            }
        },
        freed: |object| {
            if let Some(body) = object.body.downcast_ref::<T>() {
                body.freed();
            }
        },
        contexts: Mutex::new(attributes.context.map(Context::new).into_iter().collect()),
        is_deleted: AtomicBool::new(false),
        state: Mutex::new(State {
            references: 1,
            children: BTreeMap::new(),
        }),
        body,
    });
    if let Some(parent) = parent {
        let parent = any(parent);
        let mut state = lock(&parent.state);
        if parent.is_deleted() {
            stop!(
                "use-after-delete",
                "{} under a deleted parent",
                call::function()
            );
        }
        state.children.insert(object.handle.number(), object.handle);
    }
    writing(object.handle).insert(object.handle, Arc::clone(&object));
    Ref {
        object,
        kind: std::marker::PhantomData,
    }
}

/// Whether this is an object's handle.
pub fn exists(handle: Handle) -> bool {
    reading(handle).contains_key(&handle)
}

/// The object with this handle, of any kind, deleted or not as long as a reference keeps it.
pub fn any(handle: Handle) -> Arc<Object> {
    #[cfg(feature = "bench")]
    return crate::bench::recent::any(handle);
    #[cfg(not(feature = "bench"))]
    look_up(handle)
}

/// As [`any`], among all there are.
pub fn look_up(handle: Handle) -> Arc<Object> {
    if let Some(object) = alive(handle) {
        return object;
    }
    match handle.kind() {
        Some(Kind::Request) if call::function().starts_with("WdfRequestComplete") => {
            stop!("double-completion", "{}", call::function())
        }
        Some(Kind::Request) => stop!("request-use-after-completion", "{}", call::function()),
        Some(kind) => stop!(
            "freed-handle",
            "{}: a {kind:?} that is gone",
            call::function()
        ),
        None => stop!("invalid-handle", "{}: {:#x}", call::function(), handle.0),
    }
}

fn alive(handle: Handle) -> Option<Arc<Object>> {
    reading(handle).get(&handle).cloned()
}

/// The object with this handle, which must be of kind `T`. It may be deleted, if a reference keeps
/// it.
pub fn find_even_deleted<T: Body>(handle: Handle) -> Ref<T> {
    let object = any(handle);
    object.body::<T>();
    Ref {
        object,
        kind: std::marker::PhantomData,
    }
}

/// The object with this handle, which must be of kind `T` and not deleted.
pub fn find<T: Body>(handle: Handle) -> Ref<T> {
    let found = find_even_deleted(handle);
    if found.object.is_deleted() {
        stop!("use-after-delete", "{}: {:?}", call::function(), T::KIND);
    }
    found
}

/// What `look` makes of the object with this handle, of any kind, deleted or not as long as a reference keeps it.
/// `look` uses no object by its handle.
fn with_any<R>(handle: Handle, look: impl FnOnce(&Object) -> R) -> R {
    #[cfg(feature = "bench")]
    return crate::bench::recent::with_any(handle, look);
    #[cfg(not(feature = "bench"))]
    look(&any(handle))
}

/// As [`find_even_deleted`], for a look alone, which uses no object by its handle.
pub fn with_even_deleted<T: Body, R>(handle: Handle, look: impl FnOnce(&T) -> R) -> R {
    with_any(handle, |object| look(object.body()))
}

/// As [`find`], for a look alone, which uses no object by its handle.
pub fn with<T: Body, R>(handle: Handle, look: impl FnOnce(&T) -> R) -> R {
    with_any(handle, |object| {
        if object.is_deleted() {
            stop!("use-after-delete", "{}: {:?}", call::function(), T::KIND);
        }
        look(object.body())
    })
}

/// Deletes an object and what hangs under it: children's `EvtCleanupCallback` first, then its own.
/// It is freed when nobody holds a reference any more.
pub fn dispose(handle: Handle) {
    let object = any(handle);
    let children = {
        let mut state = lock(&object.state);
        if object.is_deleted.swap(true, Ordering::AcqRel) {
            stop!("double-delete", "{}: {:?}", call::function(), handle.kind());
        }
        std::mem::take(&mut state.children)
    };
    for child in children.into_values() {
        // A child that was deleted but is still referenced has had its turn.
        if alive(child).is_some_and(|child| !child.is_deleted()) {
            dispose(child);
        }
    }
    (object.deleted)(&object);
    if let Some(cleanup) = object.attributes.cleanup {
        callback::call("EvtCleanupCallback", irql::current(), || cleanup(handle));
    }
    release(&object);
}

fn release(object: &Arc<Object>) {
    {
        let mut state = lock(&object.state);
        state.references = state.references.checked_sub(1).unwrap_or_else(|| {
            stop!("over-dereference", "{:?}", object.handle.kind());
        });
        if state.references > 0 {
            return;
        }
        if !object.is_deleted() {
            stop!(
                "over-dereference",
                "{:?} was never deleted",
                object.handle.kind()
            );
        }
    }
    if let Some(destroy) = object.attributes.destroy {
        callback::call("EvtDestroyCallback", irql::current(), || {
            destroy(object.handle);
        });
    }
    (object.freed)(object);
    writing(object.handle).remove(&object.handle);
    if let Some(parent) = object.parent.and_then(alive) {
        lock(&parent.state).children.remove(&object.handle.number());
    }
}

/// The live objects: kind and references, for reports and the leak check.
pub fn census() -> Vec<(Kind, u32)> {
    among_all(|object| Some((object.handle.kind()?, lock(&object.state).references)))
}

/// Everything of one kind that lives.
pub fn all<T: Body>() -> Vec<Ref<T>> {
    among_all(|object| {
        object.body.is::<T>().then(|| Ref {
            object: Arc::clone(object),
            kind: std::marker::PhantomData,
        })
    })
}

/// An object without a body: `WdfObjectCreate`.
struct General;

impl Body for General {
    const KIND: Kind = Kind::General;
}

/// `WdfObjectCreate`
pub fn wdf_create(attributes: In<ObjectAttributes>, result: Out<Handle>) -> NtStatus {
    let attributes = Attributes::read(attributes);
    let object = create(&attributes, Some(crate::driver::handle()), General);
    result.set(object.handle());
    STATUS_SUCCESS
}

/// `WdfObjectDelete`: objects that the framework made are the framework's to delete.
pub fn wdf_delete(handle: Handle) {
    match any(handle).handle.kind() {
        Some(Kind::Request | Kind::File | Kind::Driver | Kind::Queue) | None => {
            stop!(
                "delete-not-allowed",
                "{:?} is deleted by the framework",
                handle.kind()
            )
        }
        Some(_) => dispose(handle),
    }
}

/// `WdfObjectReferenceActual`
pub fn wdf_reference(handle: Handle, _tag: usize, _line: i32, _file: usize) {
    lock(&any(handle).state).references += 1;
}

/// `WdfObjectDereferenceActual`
pub fn wdf_dereference(handle: Handle, _tag: usize, _line: i32, _file: usize) {
    release(&any(handle));
}

/// `WdfObjectGetTypedContextWorker`: NULL when the object has no context of this type.
pub fn wdf_context(handle: Handle, kind: usize) -> usize {
    with_any(handle, |object| {
        let contexts = lock(&object.contexts);
        let wanted = contexts.iter().find(|context| context.is(kind));
        wanted.map_or(0, Context::address)
    })
}

/// `WdfObjectAllocateContext`
pub fn wdf_allocate_context(
    handle: Handle,
    attributes: In<ObjectAttributes>,
    result: Out<usize>,
) -> NtStatus {
    let object = any(handle);
    let Some(wanted) = Attributes::read(attributes).context else {
        stop!("object-attributes", "no ContextTypeInfo");
    };
    let mut contexts = lock(&object.contexts);
    let (status, address) = if let Some(old) = contexts.iter().find(|old| old.is(wanted.0)) {
        (STATUS_OBJECT_NAME_EXISTS, old.address())
    } else {
        let context = Context::new(wanted);
        let address = context.address();
        contexts.push(context);
        (STATUS_SUCCESS, address)
    };
    result.set_if_wanted(address);
    status
}
