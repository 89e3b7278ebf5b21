# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
# roofline.gp   block 0 goes on with: 4 memory roofs  5 peaks  6-7 x range  8-9 y range
#   a block per op: 1 flop_per_byte  2 GFLOP_s  3 variant  4 status; then a block per roof: two
#   points of its line and a third for its name, 3 name
DATA = ARG1
BASE = ARG2
load ARG0[1:strlen(ARG0) - strlen("roofline.gp")]."style.gp"
memories = peaks = 0
x_low = x_high = y_low = y_high = 1.0
stats DATA index 0 using (memories = int(column(4)), peaks = int(column(5)), x_low = column(6), \
    x_high = column(7), y_low = column(8), y_high = column(9), 0) nooutput

set rmargin at screen 0.83
set title "How near are the kernels to what the machine can do?"
set xlabel "flop per byte of the operands, each touched once"
set label 7 "GFLOP/s"
set logscale xy
set xrange [x_low:x_high]
set yrange [y_low:y_high]
set format "%g"
do for [e = -4:8] {
    set xtics add (10.0**e)
    set ytics add (10.0**e)
}
set grid xtics ytics linestyle 20
first = series + 1
roofs = memories + peaks
# The slowest memory has its name below its line. Memory roofs are blue and dashed, flat ones grey; names lie along the slope, whose angle depends
# on the decades and pixels of both axes.
shade(i) = i < first + memories ? "#56B4E9" : "#606060"
dash(i) = i < first + memories ? 4 : 1
tall = (0.93 - legend_top - 0.095) * 750 / log10(y_high / y_low)
wide = 0.715 * 1200 / log10(x_high / x_low)
angle = int(atan2(tall, wide) * 180 / pi)

do for [kind in kinds] {
    eval terminal_of(kind)
    set output BASE.".".kind
    plot for [i = first:first + roofs - 1] DATA index i using 1:2 every ::1::2 with lines \
            linecolor rgb shade(i) linewidth 1.6 dashtype dash(i) notitle, \
        for [i = first:first + memories - 2] DATA index i using 1:2:3 every ::3::3 with labels \
            left rotate by angle offset 0.8, 1.1 font ",10" textcolor rgb "#0072B2" notitle, \
        DATA index first + memories - 1 using 1:2:3 every ::3::3 with labels \
            left rotate by angle offset 2.2, 0.2 font ",10" textcolor rgb "#0072B2" notitle, \
        for [i = first + memories:first + roofs - 1] DATA index i using 1:2:3 every ::3::3 \
            with labels left offset 0.5, 0 font ",10" textcolor rgb "#202020" notitle, \
        for [i = 1:series] DATA index i using 1:2 with points linetype i \
            title columnheader(1), \
        for [i = 1:series] DATA index i using 1:2:(mark(4)) every ::1 with labels \
            left offset 0.8, -0.4 font ",16" notitle
    set output
}
