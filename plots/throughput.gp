# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# throughput.gp   block 0 goes on with: 4 sizes  5 frames of every clip  6 its seconds
#   7 most bars of a size
#   columns: 1 row  2 bars from the middle  3 size  4 video_s_per_h  5 lo  6 hi  7 status;
#   a block per series
#   last block: 1 row  2 size
DATA = ARG1
BASE = ARG2
load ARG0[1:strlen(ARG0) - strlen("throughput.gp")]."style.gp"
stats DATA index 0 using (sizes = int(column(4)), frames = int(column(5)), clip_s = column(6), \
    widest = int(column(7)), 0) nooutput

set title "How much video does an hour of machine make, at which size?"
set xlabel sprintf("size of the clip (width x height), each %d frames = %.3g s of video", \
    frames, clip_s)
set label 7 "seconds of video per hour"
set yrange [0:*]
set xrange [-0.5:sizes - 0.5]
set xtics scale 0
set grid ytics linestyle 20
set style fill solid border rgb "#202020"

width = 0.84 / widest < 0.15 * sizes ? 0.84 / widest : 0.15 * sizes
place(k) = column(1) + column(2) * width
# Without a time a bar has no height but a place: gnuplot complains of curves without points.
height(k) = valid(k) ? column(k) : 0
top(k) = height(6) > height(4) ? height(6) : height(4)
# Numbers turn where bars are narrow and go where they are thin; the data file has them all.
narrow = width / sizes < 0.05
thin = width / sizes < 0.012
number(k) = thin ? "" : rounded(column(k))
turn = narrow ? "rotate by 90 left" : "center"
set offsets 0, 0, graph (narrow ? 0.2 : 0.12), 0
above(k) = valid(4) ? number(4).mark(k) : ""
gap(k) = valid(4) ? "" : strcol(k)
pattern(i) = int(word("3 2 5 6 1 7 4 0 3 2", i))

do for [kind in kinds] {
    eval terminal_of(kind)
    set output BASE.".".kind
    plot DATA index series + 1 using 1:(0):xtic(2) every ::1 with points pointtype -1 notitle, \
        for [i = 1:series] DATA index i using (place(0)):(height(4)):(width * 0.94) with boxes \
            linetype i dashtype 1 linewidth 1 fillstyle pattern pattern(i) title columnheader(1), \
        for [i = 1:series] DATA index i using (place(0)):(height(5)):(0):(height(6) - height(5)) \
            every ::1 with vectors nohead linecolor rgb "#202020" linewidth 2 dashtype 1 notitle, \
        for [i = 1:series] DATA index i using (place(0)):(top(0)):(above(7)) every ::1 \
            with labels @turn offset 0, 0.7 font ",10" notitle, \
        for [i = 1:series] DATA index i using (place(0)):(0):(gap(7)) every ::1 with labels \
            rotate by 90 left offset 0, 0.5 font ",10" textcolor rgb "#A00000" notitle
    set output
}
