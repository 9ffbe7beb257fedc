//! [`Limits`]: how much one archive may ask for before it is refused.

/// Bounds on one archive. Everything is counted by bytes and entries really read, never by what a
/// header claims. [`Limits::default`] lets every real wheel, sdist and deb through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes after decompression, headers and padding included.
    pub bytes: u64,
    /// Above [`Limits::free`] bytes, output may be at most this many times the input read so far.
    pub ratio: u64,
    /// Output that [`Limits::ratio`] never forbids, in bytes.
    pub free: u64,
    /// Entries, directories that are only implied by a path included.
    pub entries: u64,
    /// Parts of a path.
    pub depth: usize,
    /// Bytes of a path.
    pub path: usize,
    /// Bytes of one part of a path.
    pub name: usize,
    /// Memory of an xz decoder, in KiB (dictionary and what comes with it).
    pub xz_memory: u32,
    /// Window of a zstd frame: at most two to this power, in bytes.
    pub zstd_window_log: u32,
    /// Bytes of one PAX header or GNU long name, and of a zip's central directory in units of 64.
    pub header: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bytes: 64 << 30,
            ratio: 20,
            free: 512 << 20,
            entries: 500_000,
            depth: 64,
            path: 4096,
            name: 255,
            xz_memory: 256 << 10,
            zstd_window_log: 27,
            header: 1 << 20,
        }
    }
}
