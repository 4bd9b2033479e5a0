"""The colours of figures and cards."""

# Okabe, Ito 2008: distinguishable with any kind of colour vision. For figures on white.
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#8a8f98"
PALE_BLUE, PALE_GREY = "rgba(0, 114, 178, 0.35)", "rgba(138, 143, 152, 0.35)"
PALE_PURPLE, FAINT_PURPLE = "rgba(204, 121, 167, 0.5)", "#e2b6cf"

# Readable on white and on black: for cards and pictures in notebooks with any background.
BRIGHT_BLUE, BRIGHT_ORANGE, BRIGHT_RED, BRIGHT_GREY = "#2f8bd0", "#e08300", "#d9534f", "#8a8f98"
BRIGHT_PURPLE = "#a874c8"
FAINT = "rgba(128, 128, 128, 0.35)"
