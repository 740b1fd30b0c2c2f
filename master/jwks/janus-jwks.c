/*
 * janus-jwks: fetches a JWK set, again and again, and writes its keys to standard output, a pipe to the master, when they are other ones than before:
 *
 *   length, 4 bytes, big-endian | keys as jwt_keys_pack() makes them; a length of 0: it could not be had, or is no such set
 *
 * A process of its own, as it speaks with other hosts, by a large library, and reads what they say. It runs as the workers' user, has nothing but this pipe and
 * the log, and is gone with its reader. What comes is at most JWT_KEYS_FILE_MAX bytes behind a head of HEAD_MAX, within TIMEOUT_MS and the interval, however slowly or broken it comes; redirects are not followed, since who may say where keys are
 * is whoever has set the URL. Nothing but public keys is taken.
 *
 *   janus-jwks URL MILLISECONDS       of the interval; made by the master alone
 */
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/jwt_keys.h"
#include "shm/log.h"

#define TIMEOUT_MS 10000L
#define CONNECT_MS 5000L
#define HEAD_MAX 65536		/* bytes of all that an answer says ahead of its body, and behind it */
#define RETRY_MS 1000		/* after a failure; doubled each time, up to the interval */

struct fetched {
	size_t len, head;
	bool too_long;
	uint8_t bytes[JWT_KEYS_FILE_MAX];
};

static size_t take(char *p, size_t size, size_t n, void *with)
{
	struct fetched *f = with;

	f->too_long |= size * n > sizeof(f->bytes) - f->len;
	if (f->too_long)
		return 0;
	memcpy(f->bytes + f->len, p, size * n);
	f->len += size * n;
	return size * n;
}

/* (libcurl keeps what it has read of these, and a server may say more and more.) */
static size_t take_head(char *p, size_t size, size_t n, void *with)
{
	struct fetched *f = with;

	(void)p;
	f->head += size * n;
	f->too_long |= f->head > HEAD_MAX;
	return f->too_long ? 0 : size * n;
}

/* libcurl's options, of this URL alone: no other protocol, and none of its files and variables that would say something of how. */
static CURL *prepare(const char *url, long interval, struct fetched *f, char error[CURL_ERROR_SIZE])
{
	bool plain = strncmp(url, "http://", 7) == 0;
	CURL *curl = curl_easy_init();

	if (!curl)
		return NULL;
	curl_easy_setopt(curl, CURLOPT_URL, url);
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
#else
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS, plain ? (long)CURLPROTO_HTTP : (long)CURLPROTO_HTTPS);
#endif
	if (plain)
		curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");	/* it is this machine */
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, interval < TIMEOUT_MS ? interval : TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "janus/" JANUS_VERSION);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_head);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, f);
	return curl;
}

/* 0, or -1 with why[]. */
static int fetch(CURL *curl, struct fetched *f, const char *curl_error, char why[JWT_KEYS_ERROR_MAX])
{
	CURLcode code;
	long status = 0;

	f->len = f->head = 0;
	f->too_long = false;
	code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (f->too_long)
		snprintf(why, JWT_KEYS_ERROR_MAX, f->head > HEAD_MAX ? "the head of the answer has more than 64 KiB" : "it has more than 256 KiB");
	else if (code != CURLE_OK)
		snprintf(why, JWT_KEYS_ERROR_MAX, "%s", *curl_error ? curl_error : curl_easy_strerror(code));
	else if (status != 200)
		snprintf(why, JWT_KEYS_ERROR_MAX, "the answer is %ld%s", status, status / 100 == 3 ? ", and redirects are not followed" : "");
	return f->too_long || code != CURLE_OK || status != 200 ? -1 : 0;
}

static int write_all(const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, p, len);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0)
			p += n, len -= (size_t)n;
	}
	return 0;
}

/* The keys of what was fetched, packed. NULL and why[]. */
static void *keys_of(const struct fetched *f, size_t *size, char why[JWT_KEYS_ERROR_MAX])
{
	struct jwt_keys *keys = jwt_keys_create();
	void *packed = NULL;

	snprintf(why, JWT_KEYS_ERROR_MAX, "there is no memory");
	if (keys && jwt_keys_add_jwks(keys, f->bytes, f->len, why) == 0)
		packed = jwt_keys_pack(keys, size);
	jwt_keys_destroy(keys);
	return packed;
}

/* The keys are told if they are others than before. False: nobody listens any more. */
static bool tell(void *packed, size_t size)
{
	static void *before;
	static size_t before_size;
	uint8_t head[4] = { (uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size };

	if (before && before_size == size && memcmp(before, packed, size) == 0) {
		free(packed);
		return true;
	}
	free(before);
	before = packed;
	before_size = size;
	return write_all(head, sizeof(head)) == 0 && write_all(packed, size) == 0;
}

/* Waits. False: there is no reader any more. */
static bool wait_ms(int ms)
{
	struct pollfd out = { .fd = STDOUT_FILENO };

	return poll(&out, 1, ms) == 0 || !(out.revents & (POLLERR | POLLHUP | POLLNVAL));
}

/* A failure is logged once, until there is another one; "": there is none. */
static void failed(const char *url, const char *why)
{
	static char before[JWT_KEYS_ERROR_MAX];

	if (*why && strcmp(before, why) != 0)
		log_warning("token_jwks_url: %s: %s; the keys that there are go on", url, why);
	else if (!*why && *before)
		log_info("token_jwks_url: %s can be had again", url);
	snprintf(before, sizeof(before), "%s", why);
}

int main(int argc, char **argv)
{
	static struct fetched f;
	char curl_error[CURL_ERROR_SIZE], why[JWT_KEYS_ERROR_MAX];
	int interval, retry = RETRY_MS, wait;
	bool listening = true;
	CURL *curl;

	log_guard();
	log_init("jwks", LOG_LEVEL_INFO);
	if (argc != 3 || (interval = atoi(argv[2])) <= 0) {
		fprintf(stderr, "janus-jwks is started by janus, where token_jwks_url is set\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(curl = prepare(argv[1], interval, &f, curl_error))) {
		log_error("libcurl can't be used");
		return 1;
	}
	while (listening) {
		void *packed = NULL;
		size_t size = 0;

		*curl_error = '\0';
		if (fetch(curl, &f, curl_error, why) == 0)
			packed = keys_of(&f, &size, why);
		if (packed) {
			failed(argv[1], "");
			listening = tell(packed, size);
			retry = RETRY_MS;
			wait = interval;
		} else {
			failed(argv[1], why);
			listening = write_all((uint8_t[4]){ 0 }, 4) == 0;
			wait = retry < interval ? retry : interval;
			retry = wait > interval / 2 ? interval : 2 * wait;
		}
		listening = listening && wait_ms(wait);
	}
	curl_easy_cleanup(curl);
	return 0;
}
