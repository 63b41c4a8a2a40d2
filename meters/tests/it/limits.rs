//! Archives that mean harm, and bytes that mean nothing.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use meters::repository::{Options, measure_archive, quietly};
use proptest::prelude::*;

use crate::repository::{gzip, tar_of, zip_of};

#[track_caller]
fn refused(bytes: &[u8], options: &Options, code: &str) {
    let error = measure_archive(bytes, options, &quietly).map(|_| ()).expect_err("it must be refused");
    assert_eq!(error.code(), code, "{error}");
}

/// A tar of one entry with any name, type and link target, which honest writers would not write.
fn raw_tar(name: &[u8], kind: u8, link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link);
    header.as_mut_bytes()[156] = kind;
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

/// Braces are letters to Git. As alternatives, nested so deep, they would take the whole process along.
#[test]
fn attributes_with_braces_without_end_are_names_like_others() {
    let deep = format!("{}a{} linguist-vendored\n", "{".repeat(200_000), "}".repeat(200_000));
    let deep = format!("{deep}{{a,b}}.rs linguist-vendored\n{}\n", "[\\]{".repeat(1_000));
    let files: &[(&str, &[u8])] =
        &[("a.rs", b"fn a() {}\n"), ("{a,b}.rs", b"fn b() {}\n"), (".gitattributes", deep.as_bytes())];
    let measured = measure_archive(&gzip(&tar_of(files, "t/")), &Options::default(), &quietly).unwrap();
    assert_eq!(measured.measurement.quantities["code_lines"], 1);
    // The one with braces in its name, and the attributes themselves.
    assert_eq!(measured.measurement.evidence["excluded"]["vendored"]["files"], 2);
}

#[test]
fn a_name_without_end_is_refused_in_a_few_words() {
    let name = vec![0xff; 1 << 20];
    let mut bytes = raw_tar(b"././@LongLink", b'L', b"", &name);
    bytes.truncate(bytes.len() - 1024);
    bytes.extend(raw_tar(b"a", b'0', b"", b""));
    let error = measure_archive(&bytes, &Options::default(), &quietly).map(|_| ()).expect_err("it is too long");
    assert_eq!(error.code(), "unsafe_archive", "{error}");
    assert!(error.to_string().len() < 2_000);
}

/// What stands before an entry is not taken into memory to find that it is too long: here there is none of it.
#[test]
fn what_is_said_before_an_entry_is_refused_by_its_length() {
    for kind in [b'L', b'K', b'x'] {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[156] = kind;
        header.set_size(900 << 20);
        header.set_cksum();
        refused(header.as_bytes(), &Options::default(), "unsafe_archive");
        refused(&gzip(header.as_bytes()), &Options::default(), "unsafe_archive");
    }
}

/// Two readers of one archive must not see different files in it.
#[test]
fn long_names_and_attributes_say_the_same_to_all() {
    let before = |kind: u8, said: &[u8]| {
        let mut bytes = raw_tar(b"ahead", kind, b"", said);
        bytes.truncate(bytes.len() - 1024);
        bytes
    };
    let long = format!("{}/long.rs", "folder/".repeat(40));
    let entry = |ahead: &[Vec<u8>], kind: u8| [ahead.concat(), raw_tar(b"short", kind, b"", b"x\n")].concat();
    let paths = |bytes: &[u8]| {
        let found = measure_archive(bytes, &Options::default(), &quietly).unwrap();
        found.snapshot.files.into_keys().collect::<Vec<_>>()
    };
    let attribute = |name: &str, value: &str| {
        let said = format!(" {name}={value}\n");
        let length = (1..9999).find(|it| it.to_string().len() + said.len() == *it).unwrap();
        before(b'x', format!("{length}{said}").as_bytes())
    };
    let named = before(b'L', format!("{long}\0").as_bytes());
    assert_eq!(paths(&entry(std::slice::from_ref(&named), b'0')), ["long.rs"]);
    assert_eq!(paths(&entry(&[attribute("path", &long)], b'0')), ["long.rs"]);
    assert_eq!(paths(&entry(&[attribute("path", "b/b.py"), named.clone()], b'0')), ["long.rs"]);
    refused(&entry(&[before(b'K', b"/etc/passwd\0")], b'2'), &Options::default(), "unsafe_archive");
    refused(&entry(&[attribute("linkpath", "/etc/passwd")], b'2'), &Options::default(), "unsafe_archive");
    refused(&entry(&[attribute("size", "0")], b'0'), &Options::default(), "unsafe_archive");
    refused(&entry(&[named.clone(), named.clone()], b'0'), &Options::default(), "invalid_archive");
    refused(&[named, vec![0; 1024]].concat(), &Options::default(), "invalid_archive");
}

#[test]
fn harmful_entries_are_refused() {
    let options = Options::default();
    for (name, kind, link) in [
        ("../evil.rs", b'0', ""),
        ("a/../../evil.rs", b'0', ""),
        ("/etc/passwd", b'0', ""),
        ("C:\\evil.rs", b'0', ""),
        ("..\\evil.rs", b'0', ""),
        ("dev", b'3', ""),
        ("dev", b'4', ""),
        ("pipe", b'6', ""),
        ("odd", b'Z', ""),
        ("link", b'2', "/etc/passwd"),
        ("a/link", b'2', "../../etc/passwd"),
        ("link", b'1', "../etc/passwd"),
        ("../folder", b'5', ""),
    ] {
        let bytes = raw_tar(name.as_bytes(), kind, link.as_bytes(), b"");
        refused(&bytes, &options, "unsafe_archive");
        refused(&gzip(&bytes), &options, "unsafe_archive");
    }
    for name in ["../evil.rs", "/etc/passwd", "..\\evil.rs", "C:/evil.rs"] {
        refused(&zip_of(&[(name, b"x")], ""), &options, "unsafe_archive");
    }
    let inner = measure_archive(&raw_tar(b"a/link", b'2', b"../b.rs", b""), &options, &quietly).unwrap();
    assert_eq!(inner.measurement.evidence["excluded"]["link"]["files"], 1);
}

#[test]
fn doubled_names_are_refused() {
    let mut twice = tar_of(&[("a.rs", b"x\n")], "");
    twice.truncate(1024);
    let twice = [twice.clone(), twice, vec![0; 1024]].concat();
    refused(&twice, &Options::default(), "unsafe_archive");
}

#[test]
fn bombs_are_refused_and_not_expanded() {
    let options = Options { total_bytes_max: 32 << 20, ..Options::default() };
    let zeros = vec![0; 1 << 20];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let mut header = tar::Header::new_ustar();
    header.set_path("zeros").unwrap();
    header.set_size(64 << 20);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    for _ in 0..64 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    refused(&bomb, &options, "archive_too_large");
    // By its ratio alone, too.
    refused(&bomb, &Options::default(), "archive_too_large");

    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("zeros.c", zip::write::SimpleFileOptions::default()).unwrap();
    for _ in 0..64 {
        writer.write_all(&zeros).unwrap();
    }
    let bomb = writer.finish().unwrap().into_inner();
    refused(&bomb, &options, "archive_too_large");
    refused(&bomb, &Options::default(), "archive_too_large");

    let names: Vec<String> = (0..20).map(|n| format!("f{n}.rs")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"x\n".as_slice())).collect();
    let few = Options { entries_max: 10, ..Options::default() };
    refused(&tar_of(&files, ""), &few, "repository_too_large");
    refused(&zip_of(&files, ""), &few, "repository_too_large");
}

/// By the limits there are for strangers: a bomb is told from a repository that is honestly too large.
#[test]
fn a_repository_of_too_many_files_is_refused_as_what_it_is() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    for number in 0..=Options::default().entries_max {
        header.set_path(format!("f{number}.rs")).unwrap();
        header.set_cksum();
        encoder.write_all(header.as_bytes()).unwrap();
    }
    refused(&encoder.finish().unwrap(), &Options::default(), "repository_too_large");
}

/// A file that holds whole directories of other zips, as it is stored.
#[test]
fn zips_in_a_zip_are_not_looked_into() {
    let inner = [b"PK\x01\x02".repeat(1_000), zip_of(&[("a.rs", b"x\n"), ("b.rs", b"x\n")], "")].concat();
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in [("inner.jar", &inner[..]), ("c.rs", b"x\n"), ("last.zip", &inner[..])] {
        writer.start_file(name, stored).unwrap();
        writer.write_all(content).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    let few = Options { entries_max: 3, ..Options::default() };
    let found = measure_archive(&bytes, &few, &quietly).unwrap();
    assert_eq!(found.measurement.quantities["code_lines"], 1);
    refused(&bytes, &Options { entries_max: 2, ..Options::default() }, "repository_too_large");
}

/// The end record of a zip, its directory's first entry, and a change of so many bytes there.
fn changed(bytes: &[u8], mark: &[u8; 4], at: usize, to: &[u8]) -> Vec<u8> {
    let place = bytes.windows(4).rposition(|window| window == mark).unwrap() + at;
    let mut changed = bytes.to_vec();
    changed[place..place + to.len()].copy_from_slice(to);
    changed
}

#[test]
fn a_directory_that_lies_is_refused() {
    let honest = zip_of(&[("a.rs", b"x\n"), ("b.rs", b"y\n")], "");
    let (end, central) = (b"PK\x05\x06", b"PK\x01\x02");
    assert!(measure_archive(&honest, &Options::default(), &quietly).is_ok());
    // Fewer, more, on several disks, longer, elsewhere, and an entry that is beyond the directory.
    for lying in [
        changed(&honest, end, 8, &[1, 0, 1, 0]),
        changed(&honest, end, 8, &[3, 0, 3, 0]),
        changed(&honest, end, 8, &[1, 0, 2, 0]),
        changed(&honest, end, 12, &[1, 1, 0, 0]),
        changed(&honest, end, 16, &[0xff, 0xff, 0, 0]),
        changed(&honest, central, 42, &[0xff, 0xff, 0, 0]),
        changed(&honest, central, 20, &[0xff, 0xff, 0, 0]),
        changed(&honest, central, 20, &[0xff; 4]),
    ] {
        refused(&lying, &Options::default(), "invalid_archive");
    }
    // All ones, and no 64-bit record that tells more.
    let few = Options { entries_max: 10, ..Options::default() };
    refused(&changed(&honest, end, 8, &[0xff; 4]), &few, "repository_too_large");
    refused(&changed(&honest, end, 8, &[0xff; 4]), &Options::default(), "invalid_archive");
    // A checksum that is another's.
    refused(&changed(&honest, central, 16, &[1, 2, 3, 4]), &Options::default(), "invalid_archive");
}

/// A short end record, with a 64-bit one before it that tells `entries`.
fn with_long_end(bytes: &[u8], entries: u64, ones: bool) -> Vec<u8> {
    let end = bytes.windows(4).rposition(|window| window == b"PK\x05\x06").unwrap();
    let number = |at: usize| u64::from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    let mut long = [b"PK\x06\x06".as_slice(), &44_u64.to_le_bytes(), &[45, 0, 45, 0], &[0; 8]].concat();
    for value in [entries, entries, number(end + 12), number(end + 16)] {
        long.extend(value.to_le_bytes());
    }
    let at = end as u64;
    let locator = [b"PK\x06\x07".as_slice(), &[0; 4], &at.to_le_bytes(), &1_u32.to_le_bytes()].concat();
    let mut short = bytes[end..].to_vec();
    if ones {
        short[8..20].fill(0xff);
    }
    [&bytes[..end], &long, &locator, &short].concat()
}

#[test]
fn a_long_end_record_tells_as_a_short_one_does() {
    let plain = zip_of(&[("a.rs", b"x\n"), ("b.rs", b"y\n")], "");
    let expected = measure_archive(&plain, &Options::default(), &quietly).unwrap();
    for ones in [true, false] {
        let long = with_long_end(&plain, 2, ones);
        assert_eq!(measure_archive(&long, &Options::default(), &quietly).unwrap(), expected);
        refused(&with_long_end(&plain, 1, ones), &Options::default(), "invalid_archive");
    }
    refused(&with_long_end(&plain, 1 << 40, true), &Options::default(), "repository_too_large");
    // With a comment, and with something before it that shifts all offsets.
    let mut commented = plain.clone();
    let end = commented.len() - 22;
    commented[end + 20] = 5;
    commented.extend(b"PK\x05\x06!");
    assert_eq!(measure_archive(&commented, &Options::default(), &quietly).unwrap(), expected);
    let before = zip_of(&[("z.rs", b"z\n")], "");
    for shifted in [[&before[..], &plain].concat(), [&before[..], &with_long_end(&plain, 2, true)].concat()] {
        assert_eq!(measure_archive(&shifted, &Options::default(), &quietly).unwrap(), expected);
    }
}

/// A short end record tells the lowest 16 bits of their number, and where there is no long one, no more.
#[test]
fn more_entries_than_a_short_end_record_can_tell_are_read() {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    writer.start_file("a.rs", stored).unwrap();
    writer.write_all(b"x\n").unwrap();
    for number in 0..65_536 {
        writer.start_file(format!("f{number}"), stored).unwrap();
    }
    let bytes = writer.finish().unwrap().into_inner();
    let long = bytes.windows(4).rposition(|window| window == b"PK\x06\x06").unwrap();
    let place = [&bytes[long + 40..long + 44], &bytes[long + 48..long + 52]].concat();
    let told = |entries: u16| {
        let entries = entries.to_le_bytes();
        [&bytes[..long], b"PK\x05\x06\0\0\0\0", &entries, &entries, &place, &[0; 2]].concat()
    };
    let found = measure_archive(&told(1), &Options::default(), &quietly).unwrap();
    assert_eq!(found.measurement.quantities["code_lines"], 1);
    refused(&told(2), &Options::default(), "invalid_archive");
    refused(&told(1), &Options { entries_max: 65_536, ..Options::default() }, "repository_too_large");
}

/// As many entries as one likes, each of which is the same few bytes.
#[test]
fn entries_that_share_their_data_are_refused() {
    let honest = zip_of(&[("a.rs", &b"fn a() {}\n".repeat(50)), ("b.rs", &b"fn a() {}\n".repeat(50))], "");
    // The second one's head says that it is where the first one is.
    refused(&changed(&honest, b"PK\x01\x02", 42, &[0; 4]), &Options::default(), "unsafe_archive");
}

#[test]
fn what_git_keeps_for_itself_is_no_source_in_an_archive_either() {
    let files: &[(&str, &[u8])] = &[
        ("a.rs", b"fn a() {}\n"),
        (".git/hooks/pre-commit.sample", b"#!/bin/sh\nexec git diff\n"),
        ("sub/.git/config.py", b"x = 1\n"),
    ];
    for bytes in [tar_of(files, "site/"), gzip(&tar_of(files, "./")), zip_of(files, "")] {
        let found = measure_archive(&bytes, &Options::default(), &quietly).unwrap();
        assert_eq!(found.measurement.quantities["code_lines"], 1);
        assert_eq!(found.measurement.evidence["excluded"], serde_json::json!({}));
    }
}

/// Wildcards times files are the work of hours, all in an archive of a megabyte: what is done of it is counted.
#[test]
fn rules_times_files_are_bounded() {
    let rule = |number: usize| format!("*{number}*.x linguist-vendored\n");
    let rules: String = (0..1_000).map(rule).collect();
    let names: Vec<String> = (0..1_000).map(|it| format!("{}{it}.rs", "abc".repeat(30))).collect();
    let of = |rules: &str, under: &str| {
        let place = format!("{under}.gitattributes");
        let mut files: Vec<(&str, &[u8])> = names.iter().map(|it| (it.as_str(), b"x\n".as_slice())).collect();
        files.push((&place, rules.as_bytes()));
        gzip(&tar_of(&files, ""))
    };
    let steps = |attribute_steps_max| Options { attribute_steps_max, ..Options::default() };
    refused(&of(&rules, ""), &steps(10_000_000), "repository_too_large");
    // In another folder they are about nothing here, and names without wildcards are looked up.
    let rule = |it: usize| format!("n{it}.rs linguist-vendored\n/a/{it}/x -linguist-vendored\n");
    let looked_up: String = (0..4_500).map(rule).collect();
    for cheap in [of(&rules, "elsewhere/"), of(&looked_up, "")] {
        let found = measure_archive(&cheap, &steps(100_000), &quietly).unwrap();
        assert_eq!(found.measurement.quantities["code_lines"], 1_000);
    }
    let too_many: String = (0..10_001).map(|it| format!("{it}.rs linguist-vendored\n")).collect();
    refused(&of(&too_many, ""), &Options::default(), "repository_too_large");
    let long: String = (0..400).map(|it| format!("{}{it} linguist-vendored\n", "n".repeat(1_500))).collect();
    let twice: &[(&str, &[u8])] = &[(".gitattributes", long.as_bytes()), ("a/.gitattributes", long.as_bytes())];
    refused(&gzip(&tar_of(twice, "t/")), &Options::default(), "repository_too_large");
}

#[test]
fn a_zip_that_lies_about_its_sizes_is_refused() {
    let honest = zip_of(&[("a.rs", &b"fn a() {}\n".repeat(50))], "");
    let central = honest.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    let mut lying = honest;
    lying[central + 24..central + 28].copy_from_slice(&3_u32.to_le_bytes());
    let error = measure_archive(&lying, &Options::default(), &quietly).map(|_| ()).unwrap_err();
    assert!(["unsafe_archive", "invalid_archive"].contains(&error.code()), "{error}");
}

#[test]
fn an_encrypted_zip_is_refused() {
    let mut bytes = zip_of(&[("a.rs", b"x\n")], "");
    let central = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    bytes[6] |= 1;
    bytes[central + 8] |= 1;
    refused(&bytes, &Options::default(), "encrypted_archive");
}

#[test]
fn broken_and_foreign_bytes_are_refused() {
    let options = Options::default();
    let tar = tar_of(&[("a.rs", &b"fn a() {}\n".repeat(500))], "");
    refused(b"", &options, "invalid_archive");
    refused(b"PK", &options, "invalid_archive");
    refused(b"\x7fELF", &options, "invalid_archive");
    refused(&tar[..1500], &options, "invalid_archive");
    let packed = gzip(&tar);
    refused(&packed[..packed.len() / 2], &options, "invalid_archive");
    let packed = zip_of(&[("a.rs", b"x\n")], "");
    refused(&packed[..packed.len() / 2], &options, "invalid_archive");
}

#[test]
fn an_archive_in_an_archive_is_just_binary() {
    let inner = gzip(&tar_of(&[("a.rs", b"x\n")], ""));
    let found = measure_archive(&tar_of(&[("in.tar.gz", &inner), ("b.rs", b"x\n")], ""), &Options::default(), &quietly)
        .unwrap();
    assert_eq!(found.measurement.quantities["code_lines"], 1);
}

#[test]
fn names_that_are_not_utf_8_are_kept_apart() {
    let mut one = raw_tar(b"\xff.rs", b'0', b"", b"x\n");
    one.truncate(1024);
    let two = raw_tar(b"\xfe.rs", b'0', b"", b"y\n");
    let found = measure_archive(&[one, two].concat(), &Options::default(), &quietly).unwrap();
    let paths: Vec<&String> = found.snapshot.files.keys().collect();
    assert_eq!(paths, ["%FE.rs", "%FF.rs"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_make_an_archive_reader_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        start in 0_usize..4,
    ) {
        let start: &[u8] = [&b""[..], b"PK\x03\x04", b"\x1f\x8b\x08", b"PK\x05\x06"][start];
        let _ = measure_archive(&[start, &bytes].concat(), &Options::default(), &quietly);
    }

    #[test]
    fn no_flipped_byte_makes_an_archive_reader_panic(
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
        kind in 0_usize..3,
    ) {
        let files: &[(&str, &[u8])] = &[("a/b.rs", b"fn a() {}\n"), (".gitattributes", b"* linguist-vendored\n")];
        let mut bytes = match kind {
            0 => tar_of(files, "t/"),
            1 => gzip(&tar_of(files, "t/")),
            _ => zip_of(files, "t/"),
        };
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = measure_archive(&bytes, &Options::default(), &quietly);
    }

    #[test]
    fn no_source_makes_the_line_counter_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), tail in "([/*#\"'`\\\\=\\-\\[\\]{}<>!\n]|<script>|</script>|=begin|r#\"){0,40}", kind in 0_usize..14) {
        let kind = ["rs", "py", "js", "rb", "pl", "html", "vue", "lua", "hs", "f", "bat", "ipynb", "php", "sql"][kind];
        let content = [bytes, tail.into_bytes()].concat();
        let _ = measure_archive(&tar_of(&[(&format!("a.{kind}"), &content)], ""), &Options::default(), &quietly);
    }
}
