//! What `std` would bring along with a dozen WASI imports: an allocator and a panic handler.

#![allow(unsafe_code, reason = "an allocator, its end of the canonical ABI, and a library to link")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::{Cell, UnsafeCell};
use core::fmt::{self, Write};
use core::panic::PanicInfo;

use crate::bindings::base::sluice::filter::log::{Level, log};

use dlmalloc::GlobalDlmalloc as Heap;

/// The heap, and a desk before it for what the host hands in. That is mostly small and gone when the hook
/// returns; the heap takes ten times as long to give and to take back.
pub struct Allocator;

/// Bytes of the desk. What does not fit goes on the heap, as does everything while something stays on the desk.
const DESK_BYTES: usize = 1024;

/// Things are laid side by side; when the last one is gone the desk is clear.
#[repr(align(8))]
struct Desk {
    room: UnsafeCell<[u8; DESK_BYTES]>,
    used: Cell<usize>,
    things: Cell<usize>,
}

// SAFETY: a component instance of this contract has one thread.
unsafe impl Sync for Desk {}

static DESK: Desk = Desk { room: UnsafeCell::new([0; DESK_BYTES]), used: Cell::new(0), things: Cell::new(0) };

impl Desk {
    /// Room for one more thing.
    fn lay(&self, len: usize, align: usize) -> Option<*mut u8> {
        let from = (self.used.get() + align - 1) & !(align - 1);
        if align > align_of::<Self>() || len > DESK_BYTES - from.min(DESK_BYTES) {
            return None;
        }
        self.used.set(from + len);
        self.things.set(self.things.get() + 1);
        Some(self.room.get().cast::<u8>().wrapping_add(from))
    }

    fn holds(&self, thing: *mut u8) -> bool {
        (thing as usize).wrapping_sub(self.room.get() as usize) < DESK_BYTES
    }

    fn remove(&self) {
        self.things.set(self.things.get() - 1);
        if self.things.get() == 0 {
            self.used.set(0);
        }
    }
}

// SAFETY: what lies on the desk does not overlap and is not moved; everything else is the heap's.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { Heap.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { Heap.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, thing: *mut u8, layout: Layout) {
        match DESK.holds(thing) {
            true => DESK.remove(),
            // SAFETY: not on the desk, so it came from the heap, with this layout.
            false => unsafe { Heap.dealloc(thing, layout) },
        }
    }

    unsafe fn realloc(&self, thing: *mut u8, layout: Layout, new_len: usize) -> *mut u8 {
        if !DESK.holds(thing) {
            // SAFETY: as above.
            return unsafe { Heap.realloc(thing, layout, new_len) };
        }
        // SAFETY: the caller's layout with another length, which is not 0; both places are at least as long as what is copied.
        unsafe {
            let new = Heap.alloc(Layout::from_size_align_unchecked(new_len, layout.align()));
            if !new.is_null() {
                new.copy_from_nonoverlapping(thing, layout.size().min(new_len));
                DESK.remove();
            }
            new
        }
    }
}

// For `memcmp` and its like, which the compiler calls and, on this target, leaves to the C library. Nothing else is
// taken from there.
#[link(name = "c")]
unsafe extern "C" {}

/// Where the host puts arguments and results.
///
/// # Safety
/// As the canonical ABI has it: `old` is null or came from here with `old_len` and `align`.
pub unsafe fn realloc(old: *mut u8, old_len: usize, align: usize, new_len: usize) -> *mut u8 {
    if old_len == 0 && new_len == 0 {
        return core::ptr::without_provenance_mut(align);
    }
    // SAFETY: the host passes an alignment of the ABI, a power of two up to 8, and a length of this memory.
    let layout = unsafe { Layout::from_size_align_unchecked(old_len.max(1), align) };
    // SAFETY: `old` came from this allocator with this layout, or there is no `old`.
    let new = unsafe {
        match old_len {
            0 => match DESK.lay(new_len, align) {
                Some(room) => return room,
                None => Heap.alloc(Layout::from_size_align_unchecked(new_len, align)),
            },
            _ => Allocator.realloc(old, layout, new_len),
        }
    };
    if new.is_null() {
        core::arch::wasm32::unreachable();
    }
    new
}

/// Tells the operator where, then traps. Only where: what a panic says can quote the data it stumbled over.
pub fn panic(info: &PanicInfo) -> ! {
    let mut line = Line { text: [0; 160], len: 0 };
    if let Some(place) = info.location() {
        let _ = write!(line, "panicked at {}:{}", place.file(), place.line());
    }
    log(Level::Error, core::str::from_utf8(&line.text[..line.len]).unwrap_or("panicked"), &[]);
    core::arch::wasm32::unreachable()
}

/// On the stack, since running out of memory is one reason to be here.
struct Line {
    text: [u8; 160],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = self.text.get_mut(self.len..self.len + s.len()).ok_or(fmt::Error)?;
        room.copy_from_slice(s.as_bytes());
        self.len += s.len();
        Ok(())
    }
}
