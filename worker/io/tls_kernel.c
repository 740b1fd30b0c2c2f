/*
 * The kernel's TLS. See tls_kernel.h.
 *
 * With 1.3 the client may have us change our keys at any time, so the kernel must be able to: it is since Linux 6.14. An older one serves 1.2 alone.
 *
 * Records are made in the system call that sends them, whole or not at all, and one that TCP has no room for is kept by the kernel and sent by it: what is accounted
 * for is how many records were made. That holds for the kernel's own cipher. A network card that makes them (tls-hw-tx-offload) cuts them where memory ends, so
 * where /proc/net/tls_stat tells of one, user space seals.
 */
#include "worker/io/tls_kernel.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/log.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

/* What the kernel is told, and tells, of keys. */
union keys_info {
	struct tls_crypto_info head;
	struct tls12_crypto_info_aes_gcm_128 aes_128;
	struct tls12_crypto_info_aes_gcm_256 aes_256;
	struct tls12_crypto_info_chacha20_poly1305 chacha20;
};

/* The parts of it for a suite. */
struct parts {
	uint8_t *salt, *iv, *key, *number;
	size_t salt_len, iv_len;
	socklen_t size;
};

static struct parts parts_of(union keys_info *k, uint8_t suite)
{
	struct tls12_crypto_info_aes_gcm_128 *a = &k->aes_128;
	struct tls12_crypto_info_aes_gcm_256 *b = &k->aes_256;
	struct tls12_crypto_info_chacha20_poly1305 *c = &k->chacha20;

	if (suite == TLS_AES_128_GCM)
		return (struct parts){ a->salt, a->iv, a->key, a->rec_seq, sizeof(a->salt), sizeof(a->iv), sizeof(*a) };
	if (suite == TLS_AES_256_GCM)
		return (struct parts){ b->salt, b->iv, b->key, b->rec_seq, sizeof(b->salt), sizeof(b->iv), sizeof(*b) };
	return (struct parts){ c->iv, c->iv, c->key, c->rec_seq, 0, sizeof(c->iv), sizeof(*c) };
}

static void put_number(uint8_t dst[8], uint64_t n)
{
	for (int i = 7; i >= 0; i--, n >>= 8)
		dst[i] = (uint8_t)n;
}

static uint64_t get_number(const uint8_t src[8])
{
	uint64_t n = 0;

	for (int i = 0; i < 8; i++)
		n = n << 8 | src[i];
	return n;
}

static uint16_t cipher_of(uint8_t suite)
{
	return suite == TLS_AES_128_GCM ? TLS_CIPHER_AES_GCM_128 : suite == TLS_AES_256_GCM ? TLS_CIPHER_AES_GCM_256 : TLS_CIPHER_CHACHA20_POLY1305;
}

/* Tells the kernel keys, and the number of the next record. 0, or -1 with errno. */
static int tell(int fd, struct tls_kind kind, const struct tls_keys *keys, uint64_t number)
{
	union keys_info k = { .head.version = kind.version == TLS_1_3 ? TLS_1_3_VERSION : TLS_1_2_VERSION, .head.cipher_type = cipher_of(kind.suite) };
	struct parts p = parts_of(&k, kind.suite);
	int r, error;

	memcpy(p.salt, keys->iv, p.salt_len);
	memcpy(p.iv, keys->iv + p.salt_len, p.iv_len);
	/* The explicit nonce goes up with the number (struct tls_keys). */
	if (kind.version == TLS_1_2 && p.salt_len > 0)
		put_number(p.iv, get_number(p.iv) + number);
	memcpy(p.key, keys->key, tls_key_len(kind));
	put_number(p.number, number);
	r = setsockopt(fd, SOL_TLS, TLS_TX, &k, p.size);
	error = errno;
	explicit_bzero(&k, sizeof(k));
	errno = error;
	return r;
}

/* ---- what this kernel can do ---- */

/* How many connections of this machine have had a network card make their records; -1: there is no kernel TLS, or it doesn't tell. */
static long by_card(void)
{
	FILE *f = fopen("/proc/self/net/tls_stat", "re");
	char line[128];
	long n = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "TlsTxDevice %ld", &n) == 1)
			break;
	if (f)
		fclose(f);
	return n;
}

/* Has the connection be one of the kernel's TLS, which does nothing yet. */
static bool attach(int fd)
{
	static bool told;

	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) == 0)
		return true;
	if (errno == ENOENT && !told) {
		told = true;
		log_info("kernel_tls: this kernel has no TLS, or it is not loaded (modprobe tls)");
	}
	return false;
}

/* A connection to ourselves. 0, or -1. */
static int pair(int fd[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	fd[0] = fd[1] = -1;
	if (listener >= 0 && bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 1) == 0 &&
	    getsockname(listener, (struct sockaddr *)&address, &len) == 0) {
		fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd[0] >= 0 && connect(fd[0], (struct sockaddr *)&address, len) == 0)
			fd[1] = accept(listener, NULL, NULL);
	}
	if (listener >= 0)
		close(listener);
	return fd[1] >= 0 ? 0 : -1;
}

/* Tries whether it takes other keys where it has some. */
static bool try_other_keys(void)
{
	struct tls_kind kind = { TLS_1_3, TLS_AES_128_GCM };
	struct tls_keys keys = { .generation = 0 };
	int fd[2];
	bool can = pair(fd) == 0 && attach(fd[0]) && tell(fd[0], kind, &keys, 0) == 0 &&
		   tell(fd[0], kind, &keys, 0) == 0;

	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	return can;
}

static bool takes_other_keys(void)
{
	static enum { UNTRIED, CAN, CAN_NOT } tried;

	if (tried == UNTRIED) {
		tried = try_other_keys() ? CAN : CAN_NOT;
		if (tried == CAN_NOT)
			log_info("kernel_tls: this kernel can't change keys (Linux 6.14 can), and makes no records of TLS 1.3");
	}
	return tried == CAN;
}

/* ---- a connection ---- */

int tls_kernel_begin(int fd, const struct tls_entry_shm *entry)
{
	if (!attach(fd) || by_card() != 0 || (entry->kind.version == TLS_1_3 && !takes_other_keys()) || tell(fd, entry->kind, &entry->out, entry->flow.out_seq) < 0)
		return 1;
	if (by_card() == 0)
		return 0;
	log_warning("kernel_tls: a network card makes records here (tls-hw-tx-offload), which a worker's successor could not count; user space does from now on");
	return -1;
}

ssize_t tls_kernel_say(int fd, uint8_t type, const void *text, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(type))];
	} control = { 0 };
	struct iovec part = { (void *)text, len };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(sizeof(type));
	memcpy(CMSG_DATA(c), &type, sizeof(type));
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int tls_kernel_keys(int fd, struct tls_kind kind, const struct tls_keys *keys)
{
	return tell(fd, kind, keys, 0);
}

int tls_kernel_number(int fd, struct tls_kind kind, const struct tls_keys *keys, uint64_t *number)
{
	struct tls_keys next = *keys;
	union keys_info k;
	struct parts p = parts_of(&k, kind.suite);
	socklen_t size = p.size;
	int r = -1;

	if (getsockopt(fd, SOL_TLS, TLS_TX, &k, &size) == 0 && size == p.size && k.head.cipher_type == cipher_of(kind.suite)) {
		*number = get_number(p.number);
		if (memcmp(p.key, keys->key, tls_key_len(kind)) == 0)
			r = 0;
		else if (kind.version == TLS_1_3 && tls_keys_next(&next, kind.suite) == 0 && memcmp(p.key, next.key, tls_key_len(kind)) == 0)
			r = 1;
	}
	explicit_bzero(&k, sizeof(k));
	explicit_bzero(&next, sizeof(next));
	return r;
}
