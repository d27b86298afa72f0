//! Where states and the ways between them stand in the picture, after figure 5 of RFC 9293.

pub(crate) const WIDTH: u32 = 1000;
pub(crate) const HEIGHT: u32 = 930;
pub(crate) const BOX_WIDTH: u32 = 150;
pub(crate) const BOX_HEIGHT: u32 = 40;

/// Light and dark by the reader's own choice; fonts that every reader has.
pub(crate) const STYLE: &str = "\
text{font-family:ui-sans-serif,system-ui,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}\
.page{fill:#ffffff}.state{stroke-width:1.5}.name{font-size:15px;font-weight:600;text-anchor:middle}\
.none{fill:#f0f2f5;stroke:#8c959f}.opening{fill:#fff4d6;stroke:#bf8700}.open{fill:#dcf5e3;stroke:#2da44e}\
.closing{fill:#e5edff;stroke:#4a7bd8}\
.way{fill:none;stroke:#6e7781;stroke-width:1.5}.tip{fill:#6e7781}\
.label{font-size:13px}.call{font-style:italic}.note{font-size:13px;text-anchor:middle;fill:#57606a}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.page{fill:#0d1117}\
.none{fill:#21262d;stroke:#8b949e}.opening{fill:#3a2d08;stroke:#d29922}.open{fill:#0f3a1d;stroke:#3fb950}\
.closing{fill:#14284d;stroke:#6c9ef8}.way{stroke:#8b949e}.tip{fill:#8b949e}.note{fill:#9da7b1}}";

/// A state, by the middle of its box.
pub(crate) struct Place {
    pub(crate) state: &'static str,
    pub(crate) x: u32,
    pub(crate) y: u32,
    /// Its class in the style.
    pub(crate) phase: &'static str,
}

/// A way from one state to another.
pub(crate) struct Route {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    /// As in the `d` of an SVG path.
    pub(crate) path: &'static str,
    /// Where the label stands, and which of its ends is there.
    pub(crate) label: (u32, u32, &'static str),
}

const fn place(state: &'static str, x: u32, y: u32, phase: &'static str) -> Place {
    Place { state, x, y, phase }
}

const fn route(
    from: &'static str,
    to: &'static str,
    path: &'static str,
    label: (u32, u32, &'static str),
) -> Route {
    Route { from, to, path, label }
}

/// CLOSED stands twice, as in the RFC.
pub(crate) const PLACES: &[Place] = &[
    place("CLOSED", 500, 60, "none"),
    place("LISTEN", 500, 180, "opening"),
    place("SYN-RECEIVED", 200, 320, "opening"),
    place("SYN-SENT", 800, 320, "opening"),
    place("ESTABLISHED", 500, 440, "open"),
    place("FIN-WAIT-1", 200, 580, "closing"),
    place("CLOSE-WAIT", 800, 580, "closing"),
    place("FIN-WAIT-2", 200, 710, "closing"),
    place("CLOSING", 500, 710, "closing"),
    place("LAST-ACK", 800, 710, "closing"),
    place("TIME-WAIT", 500, 830, "closing"),
    place("CLOSED", 800, 830, "none"),
];

pub(crate) const ROUTES: &[Route] = &[
    route("CLOSED", "LISTEN", "M470 80V158", (460, 124, "end")),
    route("LISTEN", "CLOSED", "M530 160V82", (540, 124, "start")),
    route("CLOSED", "SYN-SENT", "M575 48H814Q830 48 830 64V298", (700, 40, "middle")),
    route("SYN-SENT", "CLOSED", "M770 300V88Q770 72 754 72H577", (660, 90, "middle")),
    route("LISTEN", "SYN-SENT", "M575 185 733 299", (668, 236, "start")),
    route("LISTEN", "SYN-RECEIVED", "M425 185 267 299", (332, 236, "end")),
    route("SYN-SENT", "SYN-RECEIVED", "M725 320H277", (500, 312, "middle")),
    route("SYN-SENT", "ESTABLISHED", "M745 340 577 428", (672, 402, "start")),
    route("SYN-RECEIVED", "ESTABLISHED", "M255 340 423 428", (328, 402, "end")),
    route("SYN-RECEIVED", "FIN-WAIT-1", "M150 340V558", (140, 454, "end")),
    route(
        "SYN-RECEIVED",
        "CLOSE-WAIT",
        "M190 340V504Q190 520 206 520H734Q750 520 750 536V558",
        (500, 512, "middle"),
    ),
    route("ESTABLISHED", "FIN-WAIT-1", "M425 450H256Q240 450 240 466V558", (340, 468, "middle")),
    route("ESTABLISHED", "CLOSE-WAIT", "M575 450H784Q800 450 800 466V558", (690, 468, "middle")),
    route("FIN-WAIT-1", "FIN-WAIT-2", "M200 600V688", (190, 649, "end")),
    route("FIN-WAIT-1", "CLOSING", "M275 580H484Q500 580 500 596V688", (390, 572, "middle")),
    route("FIN-WAIT-2", "TIME-WAIT", "M200 730V814Q200 830 216 830H423", (310, 822, "middle")),
    route("CLOSING", "TIME-WAIT", "M500 730V808", (510, 774, "start")),
    route("CLOSE-WAIT", "LAST-ACK", "M800 600V688", (810, 649, "start")),
    route("LAST-ACK", "CLOSED", "M800 730V808", (810, 774, "start")),
    route("TIME-WAIT", "CLOSED", "M575 830H723", (650, 822, "middle")),
];
