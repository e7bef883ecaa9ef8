//! Models known at compile time: the blob is the program, constant evaluation its compiler.

use core::marker::PhantomData;

use crate::backend::{Backend, Native};
use crate::error::{ArenaError, FormatError, ShapeError};
use crate::model::chain::{self, Chain, Entry, KINDS, Kind, Kinds, STEPS};
use crate::model::dispatch::{dispatch, dispatch_at};
use crate::model::layer::{DType, Layer, Slot, Span};
use crate::model::parse::Model;
use crate::model::route::known_route;
use crate::model::session::{Observer, Session, Tensors};

/// A model whose blob is part of the program; [`include_model!`](crate::include_model) implements it.
pub trait StaticModel {
    /// The checked blob.
    const MODEL: Model<'static>;
    /// Bytes of arena that it needs.
    const ARENA_BYTES: usize = Self::MODEL.arena_bytes();
}

/// Bytes at a multiple of 16, as a blob wants them.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Aligned<T>(pub T);

/// Most layers that a static model may have; longer ones run through [`Session`].
pub const MAX_LAYERS: usize = 128;

/// Checks a blob at compile time.
///
/// # Panics
/// In constant evaluation, so that a bad blob is a compile error.
pub const fn check(bytes: &'static [u8]) -> Model<'static> {
    match Model::parse(bytes) {
        Ok(model) => {
            assert!(model.layers() <= MAX_LAYERS, "the model has too many layers to be embedded");
            model
        }
        Err(error) => panic!("{}", explain(error)),
    }
}

const fn explain(error: FormatError) -> &'static str {
    match error {
        FormatError::Truncated => "the model blob is cut short",
        FormatError::TrailingBytes => "there are bytes after the end of the model blob",
        FormatError::Magic => "the file is not a microconv blob",
        FormatError::Version(_) => "the model blob has another format version: export it again",
        FormatError::Checksum => "the model blob is damaged: its checksum does not match",
        FormatError::Packing(_) => "the model blob is packed for another core",
        FormatError::Layer(_, ShapeError::Multiplier) => "a layer of the blob has a bad multiplier",
        FormatError::Layer(..) => "a layer of the model blob does not fit its tensors",
        _ => "the model blob is not well formed",
    }
}

/// A session of a static model: every layer specialised, unused operators not linked.
#[derive(Debug)]
pub struct StaticSession<'a, M, B = Native> {
    session: Session<'static, 'a, B>,
    model: PhantomData<M>,
}

impl<'a, M: StaticModel, B: Backend> StaticSession<'a, M, B> {
    /// A session in `arena`.
    ///
    /// # Errors
    /// [`ArenaError`] when the arena is too small or not aligned to 16 bytes.
    pub fn new(arena: &'a mut [u8]) -> Result<Self, ArenaError> {
        Ok(Self { session: Session::with_backend(M::MODEL, arena)?, model: PhantomData })
    }

    /// Runs every layer.
    pub fn run(&mut self) {
        self.run_observed(&mut ());
    }

    /// Runs every layer and tells `observer`.
    pub fn run_observed(&mut self, observer: &mut impl Observer) {
        run::<M, B>(self.session.arena(), observer);
    }
}

/// How many inputs and outputs of a static model have places that the compiler knows.
const KNOWN: usize = 4;

/// The places of inputs, or outputs, as far as [`KNOWN`] goes.
const fn places(model: &Model<'_>, inputs: bool) -> [(Slot, DType); KNOWN] {
    let mut places = [(Slot::NONE, DType::U8); KNOWN];
    let count = if inputs { model.inputs() } else { model.outputs() };
    let mut i = 0;
    while i < count && i < KNOWN {
        let tensor = if inputs { model.input(i) } else { model.output(i) };
        places[i] = (tensor.slot(), tensor.dtype);
        i += 1;
    }
    places
}

/// As those of [`Session`], without a look into the blob.
impl<M: StaticModel, B: Backend> StaticSession<'_, M, B> {
    /// The bytes of input `i`, to fill before a run; empty when there is no such input.
    #[inline]
    pub fn input_bytes(&mut self, i: usize) -> &mut [u8] {
        let places = const { &places(&M::MODEL, true) };
        match places.get(i) {
            Some((Slot { span: Span { at, len }, .. }, _)) => {
                self.session.arena().get_mut(*at..at + len).unwrap_or(&mut [])
            }
            None => self.session.input_bytes(i),
        }
    }

    /// Input `i` as codes; empty when it has another type.
    #[inline]
    pub fn input_i8(&mut self, i: usize) -> &mut [i8] {
        match const { &places(&M::MODEL, true) }.get(i) {
            Some((_, DType::I8)) => bytemuck::cast_slice_mut(self.input_bytes(i)),
            Some(_) => &mut [],
            None => self.session.input_i8(i),
        }
    }

    /// The bytes of output `i` after a run; empty when there is no such output.
    #[inline]
    pub fn output_bytes(&self, i: usize) -> &[u8] {
        match const { &places(&M::MODEL, false) }.get(i) {
            Some((Slot { span: Span { at, len }, constant: false }, _)) => {
                self.session.memory().get(*at..at + len).unwrap_or(&[])
            }
            _ => self.session.output_bytes(i),
        }
    }

    /// Output `i` as codes; empty when it has another type.
    #[inline]
    pub fn output_i8(&self, i: usize) -> &[i8] {
        match const { &places(&M::MODEL, false) }.get(i) {
            Some((_, DType::I8)) => bytemuck::cast_slice(self.output_bytes(i)),
            Some(_) => &[],
            None => self.session.output_i8(i),
        }
    }
}

impl<'a, M, B> core::ops::Deref for StaticSession<'a, M, B> {
    type Target = Session<'static, 'a, B>;
    fn deref(&self) -> &Self::Target {
        &self.session
    }
}

impl<M, B> core::ops::DerefMut for StaticSession<'_, M, B> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.session
    }
}

/// Layer `index` of a checked model on backend `B`; past the end a layer that does nothing,
/// since constants of a dead branch may be evaluated too.
const fn layer_or_nothing<B: Backend>(model: &Model<'static>, index: usize) -> Layer {
    if index < model.layers()
        && let Ok(mut layer) = model.decode(index)
    {
        layer.route = known_route(B::OWNER, model, &layer);
        return layer;
    }
    Layer::NOTHING
}

/// The chain that begins with layer `I`.
struct Chained<M, B, const I: usize>(PhantomData<(M, B)>);

impl<M: StaticModel, B: Backend, const I: usize> Chained<M, B, I> {
    #[allow(long_running_const_eval, reason = "every band of a chain is looked at")]
    const KINDS: Kinds = Kinds::of(B::OWNER, &M::MODEL, I);

    /// Its steps, in an array of the next power of two.
    #[allow(long_running_const_eval, reason = "every band of a chain is looked at")]
    const ENTRIES: &'static [Entry] = {
        let kinds = &Self::KINDS;
        let entries: &'static [Entry] = match kinds.steps {
            0..=8 => const { &Self::KINDS.entries::<8>(&M::MODEL, I) },
            9..=16 => const { &Self::KINDS.entries::<16>(&M::MODEL, I) },
            17..=32 => const { &Self::KINDS.entries::<32>(&M::MODEL, I) },
            33..=64 => const { &Self::KINDS.entries::<64>(&M::MODEL, I) },
            65..=128 => const { &Self::KINDS.entries::<128>(&M::MODEL, I) },
            129..=256 => const { &Self::KINDS.entries::<256>(&M::MODEL, I) },
            _ => const { &Self::KINDS.entries::<STEPS>(&M::MODEL, I) },
        };
        entries.split_at(kinds.steps).0
    };
}

/// The steps of a chain whose kinds the compiler knows.
#[inline(never)]
fn chained<M: StaticModel, B: Backend, const I: usize>(arena: &mut [u8]) {
    for entry in const { Chained::<M, B, I>::ENTRIES } {
        macro_rules! kinds {
            ($($kind:literal)*) => {
                match entry.kind {
                    $($kind => kind::<M, B, I, $kind>(entry, arena),)*
                    _ => {}
                }
            };
        }
        kinds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
}

/// A step of kind `K`.
#[inline(always)]
fn kind<M: StaticModel, B: Backend, const I: usize, const K: usize>(
    entry: &Entry,
    arena: &mut [u8],
) {
    const { assert!(K < KINDS) };
    if const { Chained::<M, B, I>::KINDS.has(K) } {
        // Of a length that the compiler knows, as in `run`.
        let Some(arena) = arena.get_mut(..M::ARENA_BYTES) else { return };
        let kind: &'static Kind = const { &Chained::<M, B, I>::KINDS.get(K) };
        let (moved, to) = kind.moved(entry);
        chain::shift(arena, moved, to);
        dispatch_at::<B>(&M::MODEL, &kind.layer, &kind.places(entry), arena);
    }
}

#[inline(always)]
fn step<M: StaticModel, B: Backend, const I: usize>(
    arena: &mut [u8],
    observer: &mut impl Observer,
) {
    if const { I < M::MODEL.layers() } {
        observer.start(I);
        // A reference into constant memory: its fields fold into the code, a copy on the
        // stack would not, and then every operator would be linked.
        let layer: &'static Layer = const { &layer_or_nothing::<B>(&M::MODEL, I) };
        if const { M::MODEL.chain_len(I) == 1 && layer_or_nothing::<B>(&M::MODEL, I).bands.is_whole() }
        {
            dispatch::<B>(&M::MODEL, layer, arena);
        } else if const { Chained::<M, B, I>::KINDS.steps != 0 } {
            chained::<M, B, I>(arena);
        } else if const { M::MODEL.chain_len(I) != 0 } {
            let chain: &'static Chain = const { &M::MODEL.routed_chain(B::OWNER, I) };
            // Too many kinds of steps: rows are no constants then, so that the compiler links
            // more operators than the chain has.
            chain::run(&M::MODEL, chain, arena, &mut dispatch::<B>);
        }
        observer.end(I, Tensors { model: M::MODEL, arena });
    }
}

fn run<M: StaticModel, B: Backend>(arena: &mut [u8], observer: &mut impl Observer) {
    // Of a length that the compiler knows, so that the places in it are constants.
    let Some(arena) = arena.get_mut(..M::ARENA_BYTES) else { return };
    macro_rules! steps {
        ($($index:literal)*) => { $(step::<M, B, $index>(arena, observer);)* };
    }
    steps!(
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29
        30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56
        57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83
        84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99 100 101 102 103 104 105 106 107
        108 109 110 111 112 113 114 115 116 117 118 119 120 121 122 123 124 125 126 127
    );
}

/// Embeds a blob: `include_model!(pub Autoencoder, "ae.mcv")` declares a type that
/// implements [`StaticModel`](crate::model::embed::StaticModel), with `ARENA_BYTES`
/// and `session`. The path is relative to the file, as in `include_bytes!`; a bad
/// blob does not compile.
#[macro_export]
macro_rules! include_model {
    ($(#[$attribute:meta])* $visibility:vis $name:ident, $path:expr) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug)]
        $visibility struct $name;

        impl $crate::model::embed::StaticModel for $name {
            #[allow(long_running_const_eval, reason = "the checksum reads every byte of the blob")]
            const MODEL: $crate::model::Model<'static> = {
                static BYTES: $crate::model::embed::Aligned<[u8; include_bytes!($path).len()]> =
                    $crate::model::embed::Aligned(*include_bytes!($path));
                $crate::model::embed::check(&BYTES.0)
            };
        }

        #[allow(dead_code, reason = "a program may use the trait alone")]
        impl $name {
            /// Bytes of arena that the model needs.
            $visibility const ARENA_BYTES: usize =
                <Self as $crate::model::embed::StaticModel>::ARENA_BYTES;

            /// A session in `arena`, on the native backend.
            $visibility fn session<const N: usize>(
                arena: &mut $crate::model::Arena<N>,
            ) -> $crate::model::embed::StaticSession<'_, Self> {
                const { assert!(N >= Self::ARENA_BYTES, "the arena is too small for the model") };
                match $crate::model::embed::StaticSession::new(arena.bytes()) {
                    Ok(session) => session,
                    Err(_) => unreachable!(),
                }
            }
        }
    };
}
