# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# throughput.gp   block 0 goes on with: 4 sizes  5 frames of every clip  6 its seconds
#   columns: 1 row  2 size  3 video_s_per_h  4 lo  5 hi  6 why there is no time; a block per series
DATA = ARG1
BASE = ARG2
load ARG0[1:strlen(ARG0) - strlen("throughput.gp")]."style.gp"
stats DATA index 0 using (sizes = int(column(4)), frames = int(column(5)), clip_s = column(6), 0) \
    nooutput

set title "How much video does an hour of machine make, at which size?"
set xlabel sprintf("size of the clip (width x height), each %d frames = %.3g s of video", \
    frames, clip_s)
set ylabel "seconds of video per hour"
set yrange [0:*]
set offsets 0, 0, graph 0.12, 0
set xrange [-0.5:sizes - 0.5]
set xtics scale 0
set grid ytics linestyle 20
set style fill solid border rgb "#202020"

width = 0.84 / series
place(i) = column(1) + (i - (series + 1) / 2.0) * width
top(k) = column(5) > column(3) ? column(5) : column(3)
shown(v) = v < 10 ? sprintf("%.2f", v) : v < 100 ? sprintf("%.1f", v) : sprintf("%.0f", v)
tilt = series * sizes > 12 ? 90 : 0
pattern(i) = int(word("3 2 5 6 1 7 4 0 3 2", i))

do for [kind in kinds] {
    eval terminal_of(kind)
    set output BASE.".".kind
    plot DATA index 1 using 1:(0):xtic(2) every ::1 with points pointtype -1 notitle, \
        for [i = 1:series] DATA index i using (place(i)):3:(width * 0.94) with boxes \
            linetype i dashtype 1 linewidth 1 fillstyle pattern pattern(i) title columnheader(1), \
        for [i = 1:series] DATA index i using (place(i)):4:(0):(column(5) - column(4)) every ::1 \
            with vectors nohead linecolor rgb "#202020" linewidth 2 dashtype 1 notitle, \
        for [i = 1:series] DATA index i using (place(i)):(top(0)):(shown(column(3))) every ::1 \
            with labels rotate by tilt left offset (tilt ? 0 : -1.6), 0.6 font ",10" notitle, \
        for [i = 1:series] DATA index i using (place(i)):(0):6 every ::1 with labels \
            rotate by 90 left offset 0, 0.5 font ",10" textcolor rgb "#A00000" notitle
    set output
}
