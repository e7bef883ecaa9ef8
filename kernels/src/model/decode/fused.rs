//! Fused layers: the parameters of a convolution, then those of its neighbour.

use super::{Context, ordered, pair, small, window};
use crate::error::{FormatError, ShapeError, tri};
use crate::model::format::{
    ActivateRecord, LinearRecord, MapRecord, PoolRecord, RequantizeRecord, UpsampleRecord,
    WindowRecord,
};
use crate::model::layer::{Bounds, Op};
use crate::ops::{
    Conv2dGeometry, ConvPool2dGeometry, Pool2dGeometry, UnpoolConv2dGeometry,
    UpsampleConv2dGeometry,
};
use crate::shape::Shape;

impl Context<'_, '_> {
    /// Where the neighbour's parameters begin.
    const fn second(&self) -> usize {
        let end = if self.float() { ActivateRecord::SIZE } else { RequantizeRecord::SIZE };
        LinearRecord::SIZE + end
    }

    /// The map between two operators, `n` images of `c` channels, and the pool beside it.
    const fn map_and_pool(&self, n: usize, c: usize) -> Result<(Shape, PoolRecord), FormatError> {
        let at = tri!(self.params(self.second(), MapRecord::SIZE + PoolRecord::SIZE));
        let extent = pair(MapRecord::read(self.model.bytes, at).extent);
        let map = match Shape::new(n, extent[0], extent[1], c) {
            Ok(map) => map,
            Err(why) => return self.fail(why),
        };
        Ok((map, PoolRecord::read(self.model.bytes, at + MapRecord::SIZE)))
    }

    const fn convolution(
        &self,
        record: &LinearRecord,
        x: &Shape,
        y: &Shape,
    ) -> Result<Conv2dGeometry, FormatError> {
        let window = fit!(self, window(&record.window, x, y));
        let geometry =
            fit!(self, Conv2dGeometry::new(window, x.n, x.c, y.c, record.groups as usize));
        if !geometry.input.equals(x) || !geometry.output.equals(y) {
            return self.fail(ShapeError::Mismatch);
        }
        Ok(geometry)
    }

    const fn pool_over(
        &self,
        record: &WindowRecord,
        map: &Shape,
        pooled: &Shape,
    ) -> Result<Pool2dGeometry, FormatError> {
        let window = fit!(self, window(record, map, pooled));
        let geometry = fit!(self, Pool2dGeometry::new(window, map.n, map.c));
        if !geometry.output.equals(pooled) {
            return self.fail(ShapeError::Mismatch);
        }
        Ok(geometry)
    }

    pub(super) const fn conv_pool(&self) -> Result<Op, FormatError> {
        let (linear_record, linear) = tri!(self.weights());
        let (x, y) = tri!(self.maps());
        let (map, pool) = tri!(self.map_and_pool(y.n, y.c));
        let (Some(min), Some(max)) = (small(pool.min), small(pool.max)) else {
            return self.fail(ShapeError::Range);
        };
        if min > max || !ordered(pool.min_f32, pool.max_f32) {
            return self.fail(ShapeError::Range);
        }
        let bounds = Bounds { i8: (min, max), f32: (pool.min_f32, pool.max_f32) };
        let convolution = tri!(self.convolution(&linear_record, &x, &map));
        let pool = tri!(self.pool_over(&pool.window, &map, &y));
        let geometry = fit!(self, ConvPool2dGeometry::new(convolution, pool));
        Ok(Op::ConvPool2d(geometry, linear, bounds))
    }

    pub(super) const fn upsample_conv(&self) -> Result<Op, FormatError> {
        let (record, linear) = tri!(self.weights());
        let (x, y) = tri!(self.maps());
        let at = tri!(self.params(self.second(), UpsampleRecord::SIZE));
        let factor = pair(UpsampleRecord::read(self.model.bytes, at).stride);
        // Extents of a `Shape` are below 2^31, so on a 32-bit core a product may wrap; the
        // geometry below checks it.
        let (h, w) = (x.h.wrapping_mul(factor[0]), x.w.wrapping_mul(factor[1]));
        let map = fit!(self, Shape::new(x.n, h, w, x.c));
        let convolution = tri!(self.convolution(&record, &map, &y));
        let geometry = fit!(self, UpsampleConv2dGeometry::new(x, factor, convolution));
        Ok(Op::UpsampleConv2d(geometry, linear))
    }

    pub(super) const fn unpool_conv(&self) -> Result<Op, FormatError> {
        let (record, linear) = tri!(self.weights());
        let (x, y) = tri!(self.maps());
        let (map, pool) = tri!(self.map_and_pool(x.n, x.c));
        let convolution = tri!(self.convolution(&record, &map, &y));
        let pool = tri!(self.pool_over(&pool.window, &map, &x));
        let dtype = tri!(self.indices(self.inputs[1], &pool));
        let geometry = fit!(self, UnpoolConv2dGeometry::new(pool, convolution));
        Ok(Op::UnpoolConv2d(geometry, linear, dtype))
    }
}
