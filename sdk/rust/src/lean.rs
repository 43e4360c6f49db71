//! What `std` would bring along with a dozen WASI imports: an allocator and a panic handler.

#![allow(unsafe_code, reason = "the allocator's end of the canonical ABI, and a library to link")]

use core::alloc::{GlobalAlloc, Layout};
use core::fmt::{self, Write};
use core::panic::PanicInfo;

use crate::bindings::base::sluice::filter::log::{Level, log};

pub use dlmalloc::GlobalDlmalloc as Allocator;

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
            0 => Allocator.alloc(Layout::from_size_align_unchecked(new_len, align)),
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
