//! Where the last lines of a file begin, found from its end.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeek, AsyncSeekExt as _, SeekFrom};

/// Bytes read at once.
const BLOCK: u64 = 16 * 1024;

/// The offset at which the last `lines` lines begin; 0 when there are fewer. A last line without its line feed counts.
pub(super) async fn start_of_last<F>(file: &mut F, lines: usize) -> io::Result<u64>
where
    F: AsyncRead + AsyncSeek + Unpin,
{
    let length = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 || length == 0 {
        return Ok(length);
    }
    let mut missing = lines;
    let mut end = length;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start)).await?;
        block.clear();
        (&mut *file).take(end - start).read_to_end(&mut block).await?;
        for (at, byte) in block.iter().enumerate().rev() {
            let offset = start + at as u64;
            // The line feed at the very end closes the last line.
            if *byte != b'\n' || offset + 1 == length {
                continue;
            }
            missing -= 1;
            if missing == 0 {
                return Ok(offset + 1);
            }
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_begin_after_a_line_feed() {
        for (text, lines, expected) in [
            ("a\nb\nc\n", 1, "c\n"),
            ("a\nb\nc\n", 2, "b\nc\n"),
            ("a\nb\nc\n", 3, "a\nb\nc\n"),
            ("a\nb\nc\n", 9, "a\nb\nc\n"),
            ("a\nb\nc\n", 0, ""),
            ("a\nhalf", 1, "half"),
            ("\n\n\n", 2, "\n\n"),
            ("", 1, ""),
        ] {
            let mut file = io::Cursor::new(text.as_bytes());
            let start = usize::try_from(start_of_last(&mut file, lines).await.unwrap()).unwrap();
            assert_eq!(&text[start..], expected, "{text:?} {lines}");
        }
    }

    #[tokio::test]
    async fn lines_are_found_across_blocks() {
        let text = (0..10_000).map(|number| format!("line {number}\n")).collect::<String>();
        let mut file = io::Cursor::new(text.as_bytes());
        let start = usize::try_from(start_of_last(&mut file, 5000).await.unwrap()).unwrap();
        assert!(text[start..].starts_with("line 5000\n"));
    }
}
