# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# duration.gp   columns: 1 clip_s  2 time_s  3 lo_s  4 hi_s  5 frames  6 status; a block per curve
DATA = ARG1
BASE = ARG2
load ARG0[1:strlen(ARG0) - strlen("duration.gp")]."style.gp"

set title "How does the time for a clip grow with its duration?"
set xlabel "duration of the clip (seconds of video); slopes are fitted over clips, not stills"
set label 7 "time from prompt to last frame (seconds)"

x_low = y_low = 1e300
x_high = y_high = 0
do for [i = 1:series] {
    stats DATA index i every ::1 using 1 nooutput
    x_low = x_low < STATS_min ? x_low : STATS_min
    x_high = x_high > STATS_max ? x_high : STATS_max
    stats DATA index i every ::1 using 2 nooutput
    y_low = y_low < STATS_min ? y_low : STATS_min
    y_high = y_high > STATS_max ? y_high : STATS_max
}

# The word "still" stands once, under the lowest of the stills.
still_x = 0
still_y = 1e300
lowest(frames, x, y) = frames == 1 && y < still_y ? (still_x = x, still_y = y) : y
do for [i = 1:series] {
    stats DATA index i every ::1 using (lowest(column(5), column(1), column(2))) nooutput
}
if (still_x > 0) { set label 6 "still" at still_x, still_y center offset 0, -1.1 font ",11" }

set logscale xy
set xrange [x_low / 1.3:x_high * 1.3]
room = (y_high / y_low)**0.1 > 1.5 ? (y_high / y_low)**0.1 : 1.5
set yrange [y_low / room:y_high * 1.5]
set format "%g"
wide_x = x_high / x_low > 3000
wide_y = y_high / y_low > 3000
do for [e = -4:6] {
    set xtics add (10.0**e)
    set ytics add (10.0**e)
    if (!wide_x) { set xtics add (2 * 10.0**e, 5 * 10.0**e) }
    if (!wide_y) { set ytics add (2 * 10.0**e, 5 * 10.0**e) }
}
set grid xtics ytics linestyle 20, linestyle 21

do for [kind in kinds] {
    eval terminal_of(kind)
    set output BASE.".".kind
    plot for [i = 1:series] DATA index i using 1:2:3:4 every ::1 with yerrorbars linetype i \
            dashtype 1 linewidth 1.5 pointtype -1 notitle, \
        for [i = 1:series] DATA index i using 1:2 with linespoints linetype i \
            title columnheader(1), \
        for [i = 1:series] DATA index i using 1:2:(mark(6)) every ::1 with labels \
            left offset 0.8, -0.4 font ",16" notitle
    set output
}
