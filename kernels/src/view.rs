//! A shape and the slice that holds it; operators accept nothing else.

use crate::element::Element;
use crate::error::ShapeError;
use crate::shape::Shape;

/// Elements to read, with their shape.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, E> {
    shape: Shape,
    data: &'a [E],
}

impl<'a, E> View<'a, E> {
    /// `data` seen as `shape`.
    ///
    /// # Errors
    /// [`ShapeError::Length`] when the slice has another length.
    pub const fn new(shape: Shape, data: &'a [E]) -> Result<Self, ShapeError> {
        if data.len() == shape.count() { Ok(Self { shape, data }) } else { Err(ShapeError::Length) }
    }

    /// The shape.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// All elements, row-major.
    pub const fn data(&self) -> &'a [E] {
        self.data
    }
}

/// Elements to write, with their shape.
#[derive(Debug)]
pub struct ViewMut<'a, E> {
    shape: Shape,
    data: &'a mut [E],
}

impl<'a, E> ViewMut<'a, E> {
    /// `data` seen as `shape`.
    ///
    /// # Errors
    /// [`ShapeError::Length`] when the slice has another length.
    pub const fn new(shape: Shape, data: &'a mut [E]) -> Result<Self, ShapeError> {
        if data.len() == shape.count() { Ok(Self { shape, data }) } else { Err(ShapeError::Length) }
    }

    /// The shape.
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// All elements, row-major.
    pub const fn data_mut(&mut self) -> &mut [E] {
        self.data
    }

    /// All elements, for as long as the view's borrow.
    pub const fn into_data(self) -> &'a mut [E] {
        self.data
    }
}

/// A tensor that owns room for `N` elements; what is used of it is the count of its shape.
#[derive(Clone, Debug)]
pub struct Tensor<E, const N: usize> {
    shape: Shape,
    data: [E; N],
}

impl<E: Element, const N: usize> Tensor<E, N> {
    /// A tensor of zeros.
    ///
    /// # Errors
    /// [`ShapeError::Length`] when `N` is less than the count of `shape`.
    pub const fn zeros(shape: Shape) -> Result<Self, ShapeError> {
        if shape.count() > N {
            return Err(ShapeError::Length);
        }
        Ok(Self { shape, data: [E::ZERO; N] })
    }

    /// To read.
    pub fn view(&self) -> View<'_, E> {
        View { shape: self.shape, data: self.data.get(..self.shape.count()).unwrap_or(&[]) }
    }

    /// To write.
    pub fn view_mut(&mut self) -> ViewMut<'_, E> {
        let count = self.shape.count();
        ViewMut { shape: self.shape, data: self.data.get_mut(..count).unwrap_or(&mut []) }
    }
}
