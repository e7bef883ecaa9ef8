//! Running a model in an arena.

use core::marker::PhantomData;

use crate::backend::{Backend, Native};
use crate::error::ArenaError;
use crate::model::chain;
use crate::model::dispatch::dispatch;
use crate::model::format::ALIGNMENT;
use crate::model::layer::{DType, Layer, TensorInfo};
use crate::model::parse::Model;
use crate::model::route::{route, scratch_wanted};

/// Told before and after each layer of a run.
pub trait Observer {
    /// Layer `layer` is about to run.
    fn start(&mut self, layer: usize) {
        let _ = layer;
    }
    /// Layer `layer` has run; its outputs can be read until the next one starts.
    fn end(&mut self, layer: usize, tensors: Tensors<'_>) {
        let _ = (layer, tensors);
    }
}

impl Observer for () {}

/// The tensors of a model in the middle of a run.
#[derive(Clone, Copy, Debug)]
pub struct Tensors<'a> {
    pub(crate) model: Model<'a>,
    pub(crate) arena: &'a [u8],
}

impl<'a> Tensors<'a> {
    /// What the blob says of tensor `id`.
    pub const fn info(&self, id: usize) -> TensorInfo {
        self.model.tensor(id)
    }

    /// The bytes of tensor `id`; none when it is never in memory as a whole.
    pub fn bytes(&self, id: usize) -> &'a [u8] {
        let info = self.info(id);
        if info.kept != 0 {
            return &[];
        }
        let memory = if info.constant { self.model.bytes() } else { self.arena };
        memory.get(info.at..info.at + info.bytes()).unwrap_or(&[])
    }
}

/// A model and the memory that it runs in, on backend `B`.
#[derive(Debug)]
pub struct Session<'m, 'a, B = Native> {
    model: Model<'m>,
    arena: &'a mut [u8],
    backend: PhantomData<B>,
}

impl<'m, 'a> Session<'m, 'a, Native> {
    /// A session on the native backend.
    ///
    /// # Errors
    /// [`ArenaError`] when the arena is too small or not aligned to 16 bytes.
    pub fn new(model: Model<'m>, arena: &'a mut [u8]) -> Result<Self, ArenaError> {
        Self::with_backend(model, arena)
    }
}

impl<B> Session<'_, '_, B> {
    /// The arena.
    pub(crate) const fn arena(&mut self) -> &mut [u8] {
        self.arena
    }

    /// The arena, to read.
    pub(crate) const fn memory(&self) -> &[u8] {
        self.arena
    }
}

impl<'m, 'a, B: Backend> Session<'m, 'a, B> {
    /// A session on backend `B`. Bytes beyond [`Model::arena_bytes`] serve as
    /// extra scratch; [`Model::arena_bytes_for`] says how many are of use.
    ///
    /// # Errors
    /// [`ArenaError`] when the arena is too small or not aligned to 16 bytes.
    pub fn with_backend(model: Model<'m>, arena: &'a mut [u8]) -> Result<Self, ArenaError> {
        if arena.as_ptr().align_offset(ALIGNMENT) != 0 {
            return Err(ArenaError::Misaligned);
        }
        if arena.len() < model.arena_bytes() {
            return Err(ArenaError::TooSmall(model.arena_bytes()));
        }
        Ok(Self { model, arena, backend: PhantomData })
    }

    /// The model.
    pub const fn model(&self) -> &Model<'m> {
        &self.model
    }

    /// Runs every layer. Inputs may be overwritten: fill them before each run.
    pub fn run(&mut self) {
        self.run_observed(&mut ());
    }

    /// Runs every layer and tells `observer`.
    pub fn run_observed(&mut self, observer: &mut impl Observer) {
        for index in 0..self.model.layers() {
            observer.start(index);
            run_layer::<B>(&self.model, index, self.arena);
            observer.end(index, Tensors { model: self.model, arena: self.arena });
        }
    }

    /// The bytes of input `i`, to fill before a run; empty when there is no such input.
    pub fn input_bytes(&mut self, i: usize) -> &mut [u8] {
        if i >= self.model.inputs() {
            return &mut [];
        }
        let info = self.model.input(i);
        self.arena.get_mut(info.at..info.at + info.bytes()).unwrap_or(&mut [])
    }

    /// Input `i` as codes; empty when it has another type.
    pub fn input_i8(&mut self, i: usize) -> &mut [i8] {
        if i < self.model.inputs() && self.model.input(i).dtype.is(DType::I8) {
            bytemuck::cast_slice_mut(self.input_bytes(i))
        } else {
            &mut []
        }
    }

    /// Input `i` as floats; empty when it has another type.
    pub fn input_f32(&mut self, i: usize) -> &mut [f32] {
        if i < self.model.inputs() && self.model.input(i).dtype.is(DType::F32) {
            bytemuck::try_cast_slice_mut(self.input_bytes(i)).unwrap_or(&mut [])
        } else {
            &mut []
        }
    }

    /// The bytes of output `i` after a run; empty when there is no such output.
    pub fn output_bytes(&self, i: usize) -> &[u8] {
        if i >= self.model.outputs() {
            return &[];
        }
        let tensors = Tensors { model: self.model, arena: self.arena };
        tensors.bytes(self.model.output_id(i))
    }

    /// Output `i` as codes; empty when it has another type.
    pub fn output_i8(&self, i: usize) -> &[i8] {
        if i < self.model.outputs() && self.model.output(i).dtype.is(DType::I8) {
            bytemuck::cast_slice(self.output_bytes(i))
        } else {
            &[]
        }
    }

    /// Output `i` as floats; empty when it has another type.
    pub fn output_f32(&self, i: usize) -> &[f32] {
        if i < self.model.outputs() && self.model.output(i).dtype.is(DType::F32) {
            bytemuck::try_cast_slice(self.output_bytes(i)).unwrap_or(&[])
        } else {
            &[]
        }
    }
}

/// Runs layer `index`, with it the chain that begins there, and nothing inside of a chain.
#[inline(never)]
fn run_layer<B: Backend>(model: &Model<'_>, index: usize, arena: &mut [u8]) {
    let Ok(mut layer) = model.decode(index) else { return };
    let len = model.chain_len(index);
    if len == 1 && layer.bands.is_whole() {
        layer.route = route(B::OWNER, model, &layer);
        return run_whole::<B>(model, &layer, arena);
    }
    if let Ok(chain) = model.chain(index, len) {
        chain::run(model, &chain, arena, &mut |model, layer, arena| {
            let mut layer = *layer;
            layer.route = route(B::OWNER, model, &layer);
            run_whole::<B>(model, &layer, arena);
        });
    }
}

/// One copy of every operator serves all layers of a run-time model.
#[inline(never)]
fn run_whole<B: Backend>(model: &Model<'_>, layer: &Layer, arena: &mut [u8]) {
    dispatch::<B>(model, layer, arena);
}

impl Model<'_> {
    /// Bytes of arena with which backend `B` can use its fastest kernels in every layer.
    pub fn arena_bytes_for<B: Backend>(&self) -> usize {
        let wanted = (0..self.layers()).filter_map(|i| self.decode(i).ok()).map(|layer| {
            let wanted = scratch_wanted::<B>(self, &layer);
            if wanted > layer.scratch.len { wanted } else { 0 }
        });
        self.arena_bytes() + wanted.max().unwrap_or(0)
    }
}
