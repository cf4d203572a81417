//! Header blocks: names and values, compressed with one zlib stream per direction.

use std::sync::OnceLock;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::dictionary::dictionary;

/// The headers of a stream, in order; names are lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// A header block that cannot be read. The connection cannot go on: the compression's state is lost.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is not compressed with zlib and the dictionary of SPDY/3.
    #[error("the header block is not compressed as SPDY/3 asks")]
    Compression,
    /// It would take more than [`LARGEST_BLOCK`] bytes.
    #[error("the header block is larger than {LARGEST_BLOCK} bytes")]
    TooLarge,
    /// A length points past the end of the block.
    #[error("the header block is cut off")]
    Truncated,
    /// A name or a value is not UTF-8, or a name is empty.
    #[error("a header is not text")]
    NotText,
}

/// The largest header block, uncompressed.
pub(super) const LARGEST_BLOCK: usize = 64 * 1024;

/// Compresses the blocks that one side sends.
pub(super) struct Deflater(Compress);

/// Inflates the blocks that the other side sends.
pub(super) struct Inflater(Decompress);

// === impl Headers ===

impl Headers {
    /// The first value of `name`, which is given in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Adds a header; the name is brought into lower case.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    fn to_block(&self) -> Vec<u8> {
        let mut block = Vec::new();
        put_length(&mut block, self.0.len());
        for (name, value) in &self.0 {
            for text in [name, value] {
                put_length(&mut block, text.len());
                block.extend_from_slice(text.as_bytes());
            }
        }
        block
    }

    fn from_block(mut block: &[u8]) -> Result<Self, HeaderError> {
        let count = take_length(&mut block)?;
        // Each header takes eight bytes at the least: a count cannot make us reserve more than there is.
        let mut headers = Vec::with_capacity(count.min(block.len() / 8));
        for _ in 0..count {
            let name = take_text(&mut block)?;
            let value = take_text(&mut block)?;
            if name.is_empty() {
                return Err(HeaderError::NotText);
            }
            headers.push((name.to_ascii_lowercase(), value));
        }
        Ok(Self(headers))
    }
}

fn put_length(block: &mut Vec<u8>, length: usize) {
    block.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

fn take<'a>(block: &mut &'a [u8], length: usize) -> Result<&'a [u8], HeaderError> {
    let (taken, rest) = block.split_at_checked(length).ok_or(HeaderError::Truncated)?;
    *block = rest;
    Ok(taken)
}

fn take_length(block: &mut &[u8]) -> Result<usize, HeaderError> {
    let bytes = take(block, 4)?.try_into().map_err(|_| HeaderError::Truncated)?;
    usize::try_from(u32::from_be_bytes(bytes)).map_err(|_| HeaderError::Truncated)
}

fn take_text(block: &mut &[u8]) -> Result<String, HeaderError> {
    let length = take_length(block)?;
    std::str::from_utf8(take(block, length)?).map(ToOwned::to_owned).map_err(|_| HeaderError::NotText)
}

fn shared_dictionary() -> &'static [u8] {
    static DICTIONARY: OnceLock<Vec<u8>> = OnceLock::new();
    DICTIONARY.get_or_init(dictionary)
}

// === impl Deflater ===

impl Default for Deflater {
    fn default() -> Self {
        Self::new()
    }
}

impl Deflater {
    pub(super) fn new() -> Self {
        let mut compress = Compress::new(Compression::fast(), true);
        // Before the first byte, the dictionary is always taken.
        let _ = compress.set_dictionary(shared_dictionary());
        Self(compress)
    }

    /// One block, flushed so that the peer can read it whole.
    pub(super) fn deflate(&mut self, headers: &Headers) -> Result<Vec<u8>, HeaderError> {
        let block = headers.to_block();
        if block.len() > LARGEST_BLOCK {
            return Err(HeaderError::TooLarge);
        }
        let mut output = Vec::with_capacity(block.len() + 64);
        let start = self.0.total_in();
        loop {
            let done = usize::try_from(self.0.total_in() - start).unwrap_or(usize::MAX);
            let rest = block.get(done..).unwrap_or_default();
            self.0.compress_vec(rest, &mut output, FlushCompress::Sync).map_err(|_| HeaderError::Compression)?;
            let done = usize::try_from(self.0.total_in() - start).unwrap_or(usize::MAX);
            // Room left over means that the flush is complete.
            if done == block.len() && output.len() < output.capacity() {
                return Ok(output);
            }
            output.reserve(1024);
        }
    }
}

// === impl Inflater ===

impl Default for Inflater {
    fn default() -> Self {
        Self(Decompress::new(true))
    }
}

impl Inflater {
    /// The headers of one block.
    pub(super) fn inflate(&mut self, compressed: &[u8]) -> Result<Headers, HeaderError> {
        let mut output = Vec::with_capacity(4096);
        let start = self.0.total_in();
        loop {
            let done = usize::try_from(self.0.total_in() - start).unwrap_or(usize::MAX);
            let rest = compressed.get(done..).unwrap_or_default();
            match self.0.decompress_vec(rest, &mut output, FlushDecompress::Sync) {
                Ok(Status::StreamEnd) => return Err(HeaderError::Compression),
                Ok(Status::Ok | Status::BufError) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(shared_dictionary()).map_err(|_| HeaderError::Compression)?;
                    continue;
                }
                Err(_) => return Err(HeaderError::Compression),
            }
            if output.len() > LARGEST_BLOCK {
                return Err(HeaderError::TooLarge);
            }
            let done = usize::try_from(self.0.total_in() - start).unwrap_or(usize::MAX);
            if done >= compressed.len() && output.len() < output.capacity() {
                return Headers::from_block(&output);
            }
            if output.len() == output.capacity() {
                output.reserve(4096);
            } else if done < compressed.len() && rest.len() == compressed.len() - done {
                // Neither input taken nor output made: nothing will come of it.
                return Err(HeaderError::Compression);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> Headers {
        pairs.iter().fold(Headers::default(), |headers, (name, value)| headers.with(name, value))
    }

    #[test]
    fn blocks_share_the_state_of_their_direction() {
        let (mut deflater, mut inflater) = (Deflater::new(), Inflater::default());
        let first = headers(&[("streamType", "error"), ("port", "8080"), ("requestID", "0")]);
        let second = headers(&[("streamtype", "data"), ("port", "8080"), ("requestid", "0")]);
        let (one, two) = (deflater.deflate(&first).unwrap(), deflater.deflate(&second).unwrap());
        // CMF, FLG with FDICT, and the dictionary's Adler-32.
        assert_eq!(one[2..6], [0xe3, 0xc6, 0xa7, 0xc2]);
        assert!(two.len() < one.len());
        assert_eq!(inflater.inflate(&one).unwrap(), first);
        assert_eq!(inflater.inflate(&two).unwrap(), second);
        assert_eq!(first.get("requestid"), Some("0"));
    }

    #[test]
    fn a_small_block_that_grows_large_is_refused() {
        let mut bomb = Compress::new(Compression::best(), true);
        let _ = bomb.set_dictionary(shared_dictionary());
        let mut output = Vec::with_capacity(64 * 1024);
        bomb.compress_vec(&vec![0; 8 * 1024 * 1024], &mut output, FlushCompress::Sync).unwrap();
        assert!(output.len() < 32 * 1024, "{}", output.len());
        assert_eq!(Inflater::default().inflate(&output).unwrap_err(), HeaderError::TooLarge);
    }

    #[test]
    fn blocks_that_lie_about_their_lengths_are_cut_off() {
        for (block, error) in [
            (&[][..], HeaderError::Truncated),
            (&[0, 0, 0, 1], HeaderError::Truncated),
            (&[255, 255, 255, 255], HeaderError::Truncated),
            (&[0, 0, 0, 1, 0, 0, 0, 9, b'x'], HeaderError::Truncated),
            (&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], HeaderError::NotText),
            (&[0, 0, 0, 1, 0, 0, 0, 1, 255, 0, 0, 0, 0], HeaderError::NotText),
        ] {
            assert_eq!(Headers::from_block(block).unwrap_err(), error, "{block:?}");
        }
    }

    proptest! {
        #[test]
        fn any_headers_come_back(pairs in prop::collection::vec(("[a-z][a-z-]{0,20}", ".{0,200}"), 0..20)) {
            let (mut deflater, mut inflater) = (Deflater::new(), Inflater::default());
            let all = pairs.iter().fold(Headers::default(), |all, (name, value)| all.with(name, value));
            for _ in 0..3 {
                let block = deflater.deflate(&all).unwrap();
                prop_assert_eq!(&inflater.inflate(&block).unwrap(), &all);
            }
        }

        #[test]
        fn no_bytes_bring_it_down(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Inflater::default().inflate(&bytes);
            let _ = Headers::from_block(&bytes);
        }
    }
}
