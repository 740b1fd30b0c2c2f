/*
 * What is printed at the end: as text, in the form in which the original's bots reported, or as JSON.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdio.h>

#include "tests/bench/results.h"

void report_text(FILE *out, const struct results *r);
void report_json(FILE *out, const struct results *r);

/* The faults alone, in words. Nothing if there are none. */
void report_faults(FILE *out, const struct results *r);

#endif
