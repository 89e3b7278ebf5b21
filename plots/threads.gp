# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# threads.gp   a block per series
#   columns: 1 threads  2 video_s_per_h  3 lo  4 hi  5 efficiency_percent  6 status
DATA = ARG1
BASE = ARG2
load ARG0[1:strlen(ARG0) - strlen("threads.gp")]."style.gp"

set xlabel "threads"
set logscale x 2
set format x "%g"
set xtics (1, 2, 4, 8, 16, 32, 64, 128, 256)
set offsets graph 0.08, graph 0.08, 0, 0
set grid xtics ytics linestyle 20

do for [kind in kinds] {
    eval terminal_of(kind)
    set output BASE.".".kind
    set multiplot title "What do more threads bring?" font ",16"
    set tmargin at screen 0.86
    set lmargin at screen 0.115
    set rmargin at screen 0.485
    set title "speed" font ",13"
    set label 7 "seconds of video per hour" at screen 0.014, graph 0.5
    set yrange [0:*]
    set key on
    set label 8 caption
    set label 9 not_shown
    plot for [i = 1:series] DATA index i using 1:2:3:4 every ::1 with yerrorbars linetype i \
            dashtype 1 linewidth 1.5 pointtype -1 notitle, \
        for [i = 1:series] DATA index i using 1:2 with linespoints linetype i \
            title columnheader(1), \
        for [i = 1:series] DATA index i using 1:2:(mark(6)) every ::1 with labels \
            left offset 0.8, -0.4 font ",16" notitle
    set lmargin at screen 0.585
    set rmargin at screen 0.985
    set title "parallel efficiency" font ",13"
    set label 7 "efficiency (percent of the fewest threads)" at screen 0.525, graph 0.5
    set yrange [0:115<*]
    set key off
    set label 8 ""
    set label 9 ""
    plot 100 with lines linecolor rgb "#808080" linewidth 1 dashtype 3 notitle, \
        for [i = 1:series] DATA index i using 1:5 every ::1 with linespoints linetype i notitle, \
        for [i = 1:series] DATA index i using 1:5:(mark(6)) every ::1 with labels \
            left offset 0.8, 0.4 font ",16" notitle
    unset multiplot
    set output
}
