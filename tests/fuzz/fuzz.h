/*
 * What the fuzzers share. Each fuzz_*.c is a libFuzzer target for one parser: it looks for inputs with which the parser reads or writes where
 * it must not (ASan, UBSan), and for such with which it does not keep what its header promises (fuzz_check()).
 *
 * A parser of a stream gets its input twice, whole and in pieces, and must make the same of both. The input of such a fuzzer begins with
 * FUZZ_HEAD bytes that are not the parser's: settings (a limit, as a rule), and the lengths of the pieces, in turns.
 *
 * corpus/NAME is small and kept by hand. What `make fuzz` finds is in build/fuzz/found/NAME; what of it shows something new is added with
 *   build/fuzz/fuzz_NAME -merge=1 -use_counters=0 tests/fuzz/corpus/NAME build/fuzz/found/NAME
 * An input that failed (build/fuzz/findings) goes there as well, once it passes: build/fuzz/fuzz_NAME FILE runs it.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUZZ_HEAD 4

/* libFuzzer's entry, which each fuzzer defines. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process, which makes libFuzzer keep the input. */
#define fuzz_check(what) ((what) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #what))
_Noreturn void fuzz_fail(const char *file, int line, const char *what);

/* A parser's input: a copy that ends where its memory ends, of which the parser may read the first `seen` bytes. */
struct fuzz_input {
	uint8_t settings, pieces[FUZZ_HEAD - 1];
	char *bytes;
	size_t len, seen;
	unsigned turn;
	const uint8_t *original;
};

/* With a head or without; false: too short. All of it is seen. close checks that it was not written to. */
bool fuzz_open(struct fuzz_input *in, const uint8_t *data, size_t size);
void fuzz_open_bare(struct fuzz_input *in, const uint8_t *data, size_t size);
void fuzz_close(struct fuzz_input *in);

/* Hides all of it, then makes it seen piece by piece: false when all of it was. */
void fuzz_hide(struct fuzz_input *in);
bool fuzz_more(struct fuzz_input *in);

/* What a parser made of an input, as text. */
struct fuzz_log {
	char *text;
	size_t len, max;
};

__attribute__((format(printf, 2, 3))) void fuzz_say(struct fuzz_log *log, const char *format, ...);
void fuzz_say_bytes(struct fuzz_log *log, const void *bytes, size_t len);	/* in hex */
void fuzz_same(const struct fuzz_log *whole, const struct fuzz_log *pieces);	/* fails if they differ, and shows both */
void fuzz_log_free(struct fuzz_log *log);

/* Where in the input, for logs; -1 is NULL, -2 elsewhere. */
long fuzz_where(const struct fuzz_input *in, const void *p);

/* Memory of exactly so many bytes, never NULL. To be freed. */
void *fuzz_alloc(size_t len);

#endif
