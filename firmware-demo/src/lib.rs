//! What the programs of the demo share: the board they run on ([`board`]), the
//! instruction counter ([`measure`]) and the file of the self-test ([`pack`]).
//!
//! On a host the programs are ordinary processes; on a chip they are `no_std`,
//! `no_main`, and talk to the debugger through semihosting. A program says
//! [`entry!`]`(run)` and does not see the difference.

#![cfg_attr(target_os = "none", no_std)]
#![deny(unsafe_code)]

pub mod board;
pub mod measure;
pub mod pack;

/// Makes `fn run() -> Result<(), E>` (`E: Display`) the program: on a chip
/// through the reset handler, on a host as `main`. An error is printed on one
/// line and becomes exit status 1.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        #[cfg(target_os = "none")]
        #[cortex_m_rt::entry]
        fn main() -> ! {
            $crate::board::finish($run())
        }

        #[cfg(target_os = "none")]
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::say!("{info}");
            $crate::board::exit($crate::board::PANICKED)
        }

        #[cfg(not(target_os = "none"))]
        fn main() {
            $crate::board::finish($run())
        }
    };
}
