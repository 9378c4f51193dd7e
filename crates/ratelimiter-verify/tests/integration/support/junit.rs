//! The structure of JUnit reports that the xUnit plugin of Jenkins accepts, written from the rules
//! of its schema `junit-10.xsd`.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// An element: its attributes, those that are required among them, and its children.
struct ElementRule {
    name: &'static str,
    attributes: &'static str,
    required: &'static str,
    children: &'static str,
}

const RULES: [ElementRule; 8] = [
    ElementRule {
        name: "",
        attributes: "",
        required: "",
        children: "testsuites testsuite",
    },
    ElementRule {
        name: "testsuites",
        attributes: "name time tests failures errors",
        required: "",
        children: "testsuite",
    },
    ElementRule {
        name: "testsuite",
        attributes: "name tests failures errors group time skipped timestamp hostname id package \
            file log url version",
        required: "name tests failures errors",
        children: "testsuite properties testcase system-out system-err",
    },
    ElementRule {
        name: "testcase",
        attributes: "name time classname group",
        required: "name",
        children: "skipped error failure system-out system-err",
    },
    RESULT,
    ElementRule {
        name: "error",
        ..RESULT
    },
    ElementRule {
        name: "failure",
        ..RESULT
    },
    ElementRule {
        name: "system-out",
        attributes: "",
        ..RESULT
    },
];

const RESULT: ElementRule = ElementRule {
    name: "skipped",
    attributes: "type message",
    required: "",
    children: "",
};

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

/// Panics at the first place that the schema does not allow.
#[track_caller]
pub(crate) fn assert_junit(text: &str) {
    let mut reader = Reader::from_str(text);
    let mut open = vec![String::new()];
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) => {
                assert_element(open.last().unwrap(), &element);
                open.push(name_of(&element));
            }
            Event::Empty(element) => assert_element(open.last().unwrap(), &element),
            Event::End(_) => drop(open.pop()),
            Event::Text(text) => {
                let inside = open.last().unwrap();
                let mixed = ["skipped", "error", "failure", "system-out"];
                let blank = text.iter().all(u8::is_ascii_whitespace);
                assert!(blank || mixed.contains(&&**inside), "text in <{inside}>");
            }
            Event::Eof => return assert_eq!(open, [""]),
            _ => {}
        }
    }
}

fn name_of(element: &BytesStart) -> String {
    String::from_utf8(element.name().as_ref().to_vec()).unwrap()
}

#[track_caller]
fn assert_element(inside: &str, element: &BytesStart) {
    let name = name_of(element);
    let rule = |name: &str| RULES.iter().find(|rule| rule.name == name);
    let outer = rule(inside).unwrap();
    assert!(
        words(outer.children).any(|child| child == name),
        "<{name}> in <{inside}>"
    );
    let rule = rule(&name).unwrap();
    let attributes = element.attributes().map(|attribute| attribute.unwrap());
    let attributes: Vec<(String, String)> = attributes
        .map(|attribute| {
            let key = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
            (key, attribute.unescape_value().unwrap().into_owned())
        })
        .collect();
    for (key, value) in &attributes {
        assert!(
            words(rule.attributes).any(|known| known == key),
            "{key} of <{name}>"
        );
        // Up to three decimals; the attribute of a test case may be any text.
        let (whole, part) = value.split_once('.').unwrap_or((value, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_time = digits(whole) && digits(part) && part.len() <= 3;
        assert!(key != "time" || is_time, "time of <{name}> is {value}");
    }
    for required in words(rule.required) {
        assert!(
            attributes.iter().any(|(key, _)| key == required),
            "<{name}> lacks {required}"
        );
    }
}
