// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* gbench.cc   Google Benchmark behind a C face. Iterations(1) and Repetitions(count) with the loop
 * over the work inside: under manual time the library would otherwise repeat the work until its own
 * idea of enough, and a repetition is the smallest unit it hands out.
 *
 * The library is never initialised, so it reads no argv; its BENCHMARK_* environment variables are
 * removed by whoever starts the process (worker.c). Its interface moves between versions: nothing
 * here names a type or member that 1.7.1 and 1.9 do not share, but through `skipped_by`. */
#include "timing/gbench.h"

#include <benchmark/benchmark.h>

#include <time.h>

#include <sstream>
#include <string>
#include <vector>

namespace
{

struct Job {
    gbench_fn *fn;
    void *user;
    int64_t iterations;
    bool failed;
};

double clock_now()
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/* A failure ends the job: the library would go on with the other repetitions. */
void run_job(Job &job, benchmark::State &state)
{
    while (state.KeepRunning()) {
        double begin = clock_now();
        job.failed = job.failed || job.fn(job.user, job.iterations) != 0;
        state.SetIterationTime(clock_now() - begin);
        if (job.failed)
            state.SkipWithError("the measured work failed");
    }
}

/* Up to 1.7 a run carries error_occurred, from 1.8 on `skipped`, an enumeration whose 0 is "no". */
template <class Run>
auto skipped_by(const Run &run, int) -> decltype(static_cast<bool>(run.error_occurred))
{
    return run.error_occurred;
}
template <class Run>
auto skipped_by(const Run &run, long) -> decltype(static_cast<bool>(run.skipped))
{
    return static_cast<bool>(run.skipped);
}

/* Keeps the times and prints nothing, the library's warning about its own build type included. */
class Collector : public benchmark::BenchmarkReporter
{
  public:
    std::vector<double> seconds;

    bool ReportContext(const Context &) override { return true; }
    void ReportRuns(const std::vector<Run> &runs) override
    {
        for (const Run &run : runs)
            if (run.run_type == Run::RT_Iteration && !skipped_by(run, 0))
                seconds.push_back(run.GetAdjustedRealTime() /
                                  benchmark::GetTimeUnitMultiplier(run.time_unit));
    }
};

int run_block(const char *name, Job &job, int64_t count, double *samples)
{
    Collector collector;
    benchmark::RegisterBenchmark(name, [&job](benchmark::State &state) { run_job(job, state); })
        ->Iterations(1)
        ->Repetitions(static_cast<int>(count))
        ->ReportAggregatesOnly(false)
        ->UseManualTime();
    benchmark::RunSpecifiedBenchmarks(&collector, ".");
    benchmark::ClearRegisteredBenchmarks();
    if (job.failed)
        return 1;
    if (collector.seconds.size() != static_cast<size_t>(count))
        return 2;
    for (size_t i = 0; i < collector.seconds.size(); i++)
        samples[i] = collector.seconds[i] / static_cast<double>(job.iterations);
    return 0;
}

/* The library tells its own build type in the JSON context alone. */
std::string library_text()
{
    std::ostringstream text;
    benchmark::JSONReporter reporter;
    reporter.SetOutputStream(&text);
    reporter.ReportContext(benchmark::BenchmarkReporter::Context());
    bool debug = text.str().find("\"library_build_type\": \"debug\"") != std::string::npos;
    return std::string("Google Benchmark, library build type ") + (debug ? "debug" : "release");
}

} // namespace

int gbench_block(const char *name, gbench_fn *fn, void *user, int64_t iterations, int64_t count,
                 double *samples)
{
    Job job = {fn, user, iterations, false};
    try {
        return run_block(name, job, count, samples);
    } catch (...) {
        return 2;
    }
}

const char *gbench_library(void)
{
    try {
        static const std::string text = library_text();
        return text.c_str();
    } catch (...) {
        return "Google Benchmark";
    }
}
