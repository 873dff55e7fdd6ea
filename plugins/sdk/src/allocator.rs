//! The guest's memory for small values: lists of free blocks by size, in front of std's allocator.
//!
//! A converter makes and drops some dozen short strings and lists per record, and std's allocator for
//! wasm, made to be small, took a third of the whole conversion for them. Here both are a few
//! instructions. A block that was freed serves the next value of its size and no other, so memory is
//! bounded by the most that was alive of each size at once: it does not grow with the report.
//!
//! A component has one thread; nothing here may be used by two.

#![expect(unsafe_code, reason = "an allocator hands out raw memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;

/// Sizes are rounded up to a multiple of this, which is also every block's alignment.
const STEP_BYTES: usize = 16;

/// Larger values are std's: they are few, and their sizes many.
const SMALL_BYTES_MAX: usize = 1024;

/// Taken from std at once, to be cut into blocks.
const SLAB_BYTES: usize = 64 * 1024;

/// A list per size; that of size 0 stays empty.
const LISTS: usize = SMALL_BYTES_MAX / STEP_BYTES + 1;

/// What a free block holds.
struct Free {
    next: *mut Free,
}

struct Blocks {
    free: [*mut Free; LISTS],
    /// What is left of the last slab.
    slab: *mut u8,
    slab_bytes: usize,
}

/// See the module's description.
pub(crate) struct SmallBlocks(UnsafeCell<Blocks>);

// SAFETY: wasm32-unknown-unknown without atomics has no second thread.
#[cfg(all(target_arch = "wasm32", not(target_feature = "atomics")))]
unsafe impl Sync for SmallBlocks {}

#[cfg(all(target_arch = "wasm32", not(target_feature = "atomics")))]
#[global_allocator]
static GLOBAL: SmallBlocks = SmallBlocks::new();

impl SmallBlocks {
    const fn new() -> Self {
        Self(UnsafeCell::new(Blocks {
            free: [ptr::null_mut(); LISTS],
            slab: ptr::null_mut(),
            slab_bytes: 0,
        }))
    }
}

/// Which list serves it; nothing for what is std's.
const fn list(layout: Layout) -> Option<usize> {
    if layout.size() <= SMALL_BYTES_MAX && layout.align() <= STEP_BYTES {
        Some(layout.size().div_ceil(STEP_BYTES))
    } else {
        None
    }
}

impl Blocks {
    /// A block that was never used.
    #[cold]
    fn cut(&mut self, list: usize) -> *mut u8 {
        let bytes = list * STEP_BYTES;
        if self.slab_bytes < bytes {
            let Ok(layout) = Layout::from_size_align(SLAB_BYTES, STEP_BYTES) else {
                return ptr::null_mut();
            };
            // SAFETY: the layout's size is not zero.
            let slab = unsafe { System.alloc(layout) };
            if slab.is_null() {
                return slab;
            }
            (self.slab, self.slab_bytes) = (slab, SLAB_BYTES);
        }
        let block = self.slab;
        self.slab_bytes -= bytes;
        // SAFETY: `bytes` of the slab were left, so this is inside it or its end.
        self.slab = unsafe { block.add(bytes) };
        block
    }
}

// SAFETY: a block comes from a slab of its own place, or from the list of its size, where it is put
// only when it is freed; blocks are aligned to `STEP_BYTES` and have at least the size asked for. What
// is not small goes to std and comes back to it, by the same rule.
unsafe impl GlobalAlloc for SmallBlocks {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(list) = list(layout) else {
            // SAFETY: the caller's promises are the same.
            return unsafe { System.alloc(layout) };
        };
        // SAFETY: one thread, and no reference is kept beyond a call.
        let blocks = unsafe { &mut *self.0.get() };
        let block = blocks.free[list];
        if block.is_null() {
            return blocks.cut(list);
        }
        // SAFETY: what lies in a list was written by `dealloc`.
        blocks.free[list] = unsafe { (*block).next };
        block.cast()
    }

    // Once: values are dropped in more places than they are made.
    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(list) = list(layout) else {
            // SAFETY: it came from there: the layout is the same.
            return unsafe { System.dealloc(block, layout) };
        };
        // SAFETY: one thread, and no reference is kept beyond a call.
        let blocks = unsafe { &mut *self.0.get() };
        #[expect(clippy::cast_ptr_alignment, reason = "blocks are aligned to more")]
        let block = block.cast::<Free>();
        // SAFETY: the block is not used any more, is large enough and aligned.
        unsafe { (*block).next = blocks.free[list] };
        blocks.free[list] = block;
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if list(layout).is_none() {
            // SAFETY: the caller's promises are the same.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: the caller's promises are the same.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: the block has the layout's size.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        let Ok(wanted) = Layout::from_size_align(bytes, layout.align()) else {
            return ptr::null_mut();
        };
        match (list(layout), list(wanted)) {
            (Some(before), Some(after)) if before == after => block,
            // SAFETY: it came from there, and the new size is not zero.
            (None, None) => unsafe { System.realloc(block, layout, bytes) },
            _ => {
                // SAFETY: the new size is not zero.
                let moved = unsafe { self.alloc(wanted) };
                if !moved.is_null() {
                    // SAFETY: both have the smaller one's size and are apart; the old one is the caller's.
                    unsafe {
                        ptr::copy_nonoverlapping(block, moved, layout.size().min(bytes));
                        self.dealloc(block, layout);
                    }
                }
                moved
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::alloc::{GlobalAlloc, Layout};

    use super::{SMALL_BYTES_MAX, STEP_BYTES, SmallBlocks};

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, 8).expect("a layout")
    }

    #[test]
    fn values_of_every_size_keep_apart_and_grow() {
        let memory = SmallBlocks::new();
        let mut held = Vec::new();
        for round in 0..3 {
            for bytes in 1..SMALL_BYTES_MAX + 40 {
                // SAFETY: sizes are not zero, and each block is freed with the layout it has.
                let block = unsafe { memory.alloc(layout(bytes)) };
                assert_eq!(block as usize % 8, 0);
                // SAFETY: the block has so many bytes.
                unsafe { block.write_bytes(bytes as u8, bytes) };
                held.push((block, bytes));
            }
            for (block, bytes) in held.iter_mut().filter(|(_, bytes)| bytes % 3 == round) {
                // SAFETY: as above.
                *block = unsafe { memory.realloc(*block, layout(*bytes), *bytes + 30) };
                // SAFETY: the block has so many bytes now.
                unsafe { block.add(*bytes).write_bytes(*bytes as u8, 30) };
                *bytes += 30;
            }
        }
        for (block, bytes) in held {
            // SAFETY: the block has so many bytes, all written.
            let content = unsafe { std::slice::from_raw_parts(block, bytes) };
            assert!(content.iter().all(|byte| *byte == content[0]));
            // SAFETY: as above.
            unsafe { memory.dealloc(block, layout(bytes)) };
        }
    }

    #[test]
    fn a_freed_block_serves_the_next_of_its_size_and_comes_zeroed_when_asked() {
        let memory = SmallBlocks::new();
        // SAFETY: sizes are not zero, and each block is freed once with a layout of its list.
        unsafe {
            let first = memory.alloc(layout(STEP_BYTES));
            first.write_bytes(7, STEP_BYTES);
            memory.dealloc(first, layout(STEP_BYTES));
            let second = memory.alloc_zeroed(layout(STEP_BYTES - 1));
            assert_eq!(first, second);
            assert_eq!(*second, 0);
            memory.dealloc(second, layout(STEP_BYTES - 1));
        }
    }
}
