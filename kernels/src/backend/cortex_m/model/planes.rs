//! Rows of codes to planes, in plain Rust.

/// The first `fours` fours of channels of `cells` cells, `step` elements apart in `x`: pairs
/// `[c, c + 2]` and `[c + 1, c + 3]`, one after the other `pitch` words apart in `out`, cells
/// `BETWEEN` words apart. Nothing is done where a slice is too short.
pub(in crate::backend::cortex_m) fn spread<const BETWEEN: usize>(
    x: &[i8],
    [fours, step, cells]: [usize; 3],
    out: &mut [i32],
    pitch: usize,
) {
    for pair in 0..fours * 2 {
        let channel = pair / 2 * 4 + pair % 2;
        for cell in 0..cells {
            let at = cell * step + channel;
            out[pair * pitch + cell * BETWEEN] = word(x[at].into(), x[at + 2].into());
        }
    }
}

/// The first `fours` fours of `channels` channels of `cells` cells of four rows: of each pair, as in
/// [`spread`], the words `[a − c, b + c, c − b, d − b]`. Nothing is done where a slice is too short.
pub(in crate::backend::cortex_m) fn twice(
    rows: [&[i8]; 4],
    [channels, fours, cells]: [usize; 3],
    out: &mut [i32],
    pitch: usize,
) {
    for pair in 0..fours * 2 {
        let channel = pair / 2 * 4 + pair % 2;
        for cell in 0..cells {
            let lane = |c: usize| {
                let [a, b, c, d] = rows.map(|row| i32::from(row[cell * channels + channel + c]));
                [a - c, b + c, c - b, d - b]
            };
            let (low, high) = (lane(0), lane(2));
            for row in 0..4 {
                out[pair * pitch + cell * 4 + row] = word(low[row], high[row]);
            }
        }
    }
}

fn word(low: i32, high: i32) -> i32 {
    low & 0xffff | high << 16
}
