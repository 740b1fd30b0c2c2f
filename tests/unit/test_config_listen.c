/*
 * The configuration: where to listen, and from whom: addresses and paths, origins, and lists of either.
 */
#include "tests/unit/config_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

static void listen_good(void **state)
{
	static const struct {
		const char *value, *address;
		int proto;
		bool dual;
	} cases[] = {
		{"flash://127.0.0.1:8081", "127.0.0.1:8081", PROTO_FLASH, false},
		{"http://0.0.0.0:0", "0.0.0.0:0", PROTO_HTTP, false},
		{"packet://localhost:65535", "127.0.0.1:65535", PROTO_PACKET, false},
		{"flash://[::1]:80", "[::1]:80", PROTO_FLASH, false},
		{"packet://[::]:80", "[::]:80", PROTO_PACKET, false},
		{"http://*:80", "[::]:80", PROTO_HTTP, true},
		{"flash://[2001:db8::7]:8081", "[2001:db8::7]:8081", PROTO_FLASH, false},
	};
	char line[200], text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line), "anonymous = all\nlisten = %s", cases[i].value);
		if (read_text(line) < 0)
			fail_msg("%s: %s", line, error);
		assert_int_equal(config.listeners, 1);
		assert_string_equal(config.listen[0].url, cases[i].value);
		assert_int_equal(config.listen[0].proto, cases[i].proto);
		assert_memory_equal(protocol_scheme(cases[i].proto, config.listen[0].tls), cases[i].value, strcspn(cases[i].value, ":"));
		assert_null(config_address_path(&config.listen[0]));
		assert_int_equal(config.listen[0].dual, cases[i].dual);
		config_address_text((struct sockaddr *)&config.listen[0].addr, text, sizeof(text));
		assert_string_equal(text, cases[i].address);
	}
	assert_int_equal(config.listen[0].addr_len, sizeof(struct sockaddr_in6));
}

static void listen_good_paths(void **state)
{
	static const struct {
		const char *value;
		int proto;
	} cases[] = {
		{"flash+unix:/run/janus/flash", PROTO_FLASH},
		{"http+unix:/a b:c=d", PROTO_HTTP},
		{"packet+unix:/x", PROTO_PACKET},
	};
	char line[200];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct listen_address a;

		snprintf(line, sizeof(line), "anonymous = all\nlisten = %s", cases[i].value);
		if (read_text(line) < 0)
			fail_msg("%s: %s", line, error);
		a = config.listen[0];
		assert_int_equal(a.proto, cases[i].proto);
		assert_int_equal(a.addr.ss_family, AF_UNIX);
		assert_string_equal(config_address_path(&a), strchr(cases[i].value, '/'));
		assert_int_equal(a.addr_len, offsetof(struct sockaddr_un, sun_path) + strlen(config_address_path(&a)) + 1);
	}
	/* the longest */
	snprintf(line, sizeof(line), "listen = packet+unix:/%0106d", 0);
	assert_int_equal(read_text(line), 0);
	assert_int_equal(strlen(config_address_path(&config.listen[0])), 107);
	assert_string_equal(config.listen[0].url, line + strlen("listen = "));
}

static void listen_slow(void **state)
{
	static const struct {
		const char *value, *url;
		enum slow_policy slow;
	} cases[] = {
		{"http://*:80 slow=latest", "http://*:80", SLOW_LATEST},
		{"flash://127.0.0.1:1 \t slow=disconnect ", "flash://127.0.0.1:1", SLOW_DISCONNECT},
		{"packet+unix:/a b slow= skip", "packet+unix:/a b", SLOW_SKIP},
		{"http+unix:/slow=latest", "http+unix:/slow=latest", SLOW_UNSAID},
	};
	static const struct {
		const char *value, *error;
	} bad[] = {
		{"http://*:80 slow=drop", "slow=drop is not one of: slow=skip slow=latest slow=disconnect"},
		{"http://*:80 slow=", "slow= is not one of: slow=skip slow=latest slow=disconnect"},
		{"http+unix:/a slow=skip slow=skip", "slow=skip slow=skip is not one of: slow=skip slow=latest slow=disconnect"},
		{"http://*:80 fast=latest", "`80 fast=latest` is not a port (0 to 65535)"},
		{"http://*:80?slow=latest", "`80?slow=latest` is not a port (0 to 65535)"},
		{"http:// slow=latest", "`http://` lacks its :PORT"},
	};
	char line[200], expected[CONFIG_ERROR_MAX];
	FILE *printed = tmpfile();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line), "anonymous = all\nlisten = %s", cases[i].value);
		if (read_text(line) < 0)
			fail_msg("%s: %s", line, error);
		assert_string_equal(config.listen[0].url, cases[i].url);
		assert_int_equal(config.listen[0].slow, cases[i].slow);
		assert_int_equal(config.listeners, 1);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(line, sizeof(line), "\nlisten = %s", bad[i].value);
		if (read_text(line) == 0)
			fail_msg("taken: %s", line);
		snprintf(expected, sizeof(expected), "janus.ini:2: listen: %s", bad[i].error);
		assert_string_equal(error, expected);
	}
	assert_int_equal(read_text("listen = http://*:80 slow=skip\nlisten = http://*:80 slow=latest"), -1);
	assert_string_equal(error, "janus.ini:2: listen: http://*:80 is there twice");
	/* as it is printed */
	assert_int_equal(read_text("anonymous = all\nlisten = http://*:80 slow=skip\nlisten = flash://*:81"), 0);
	config_print(printed, &config);
	rewind(printed);
	assert_non_null(fgets(line, sizeof(line), printed));
	assert_string_equal(line, "listen = http://*:80 slow=skip\n");
	assert_non_null(fgets(line, sizeof(line), printed));
	assert_string_equal(line, "listen = flash://*:81\n");
	fclose(printed);
}

static void listen_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{"flash://127.0.0.1:80", "http://localhost:80", true},
		{"flash://[::1]:80", "packet://[0:0::1]:80", true},
		{"flash://*:80", "http://*:80", true},
		{"flash+unix:/a", "http+unix:/a", true},
		{"flash://127.0.0.1:80", "flash://127.0.0.1:81", false},
		{"flash://127.0.0.1:80", "flash://127.0.0.2:80", false},
		{"flash://*:80", "flash://[::]:80", false},
		{"flash://127.0.0.1:0", "http://127.0.0.1:0", false},
		{"flash://127.0.0.1:0", "flash://127.0.0.1:0", true},
		{"flash+unix:/a", "flash+unix:/ab", false},
		{"flash+unix:/a", "flash://127.0.0.1:80", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct listen_address a, b;

		assert_int_equal(config_address_read(&a, cases[i].a, error), 0);
		assert_int_equal(config_address_read(&b, cases[i].b, error), 0);
		assert_int_equal(config_address_same(&a, &b), cases[i].same);
		assert_int_equal(config_address_same(&b, &a), cases[i].same);
	}
}

static void listen_bad(void **state)
{
#define NEITHER " is neither SCHEME://ADDR:PORT nor SCHEME+unix:/PATH, SCHEME being flash, http, packet or admin, " \
		"and with TLS flash+tls, https, packet+tls or admin+tls"
	static const struct {
		const char *value, *error;
	} cases[] = {
		{"127.0.0.1:8081", "`127.0.0.1:8081`" NEITHER},
		{"wss://127.0.0.1:80", "`wss://127.0.0.1:80`" NEITHER},
		{"https+unix:/x", "`https+unix:/x`" NEITHER},
		{"http+tls://127.0.0.1:80", "`http+tls://127.0.0.1:80`" NEITHER},
		{"flash:/127.0.0.1:80", "`flash:/127.0.0.1:80`" NEITHER},
		{"Flash://127.0.0.1:80", "`Flash://127.0.0.1:80`" NEITHER},
		{"unix:/x", "`unix:/x`" NEITHER},
		{"", "``" NEITHER},
		{"flash+unix:", "`` is not an absolute path"},
		{"flash+unix:run/janus", "`run/janus` is not an absolute path"},
		{"http+unix:@abstract", "`@abstract` is not an absolute path"},
		{"http+unix:/a\tb", "the path `/a?b` has a control character in it"},
		{"flash://127.0.0.1", "`flash://127.0.0.1` lacks its :PORT"},
		{"flash://[::1]", "`flash://[::1]` lacks its :PORT"},
		{"flash://127.0.0.1:", "`` is not a port (0 to 65535)"},
		{"flash://127.0.0.1:65536", "`65536` is not a port (0 to 65535)"},
		{"flash://127.0.0.1:0x50", "`0x50` is not a port (0 to 65535)"},
		{"flash://example.org:80",
		 "`example.org` is not a numeric IPv4 address, a numeric IPv6 address in [], `localhost` or `*`"},
		{"flash://127.1:80", "`127.1` is not a numeric IPv4 address, a numeric IPv6 address in [], `localhost` or `*`"},
		{"flash://::1:80", "`::1` is not a numeric IPv4 address, a numeric IPv6 address in [], `localhost` or `*`"},
		{"flash://[127.0.0.1]:80",
		 "`[127.0.0.1]` is not a numeric IPv4 address, a numeric IPv6 address in [], `localhost` or `*`"},
		{"flash://[:80", "`[` is not a numeric IPv4 address, a numeric IPv6 address in [], `localhost` or `*`"},
		{"flash://:80", "`` is not a numeric IPv4 address, a numeric IPv6 address in [], `localhost` or `*`"},
	};
	char line[300], expected[CONFIG_ERROR_MAX], url[200];
	const char *options[] = {line, NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(line, sizeof(line), "listen=%s", cases[i].value);
		if (read_options(NULL, options) == 0)
			fail_msg("taken: %s", line);
		snprintf(expected, sizeof(expected), "-o listen: %s", cases[i].error);
		assert_string_equal(error, expected);
	}
	memset(url, '1', sizeof(url));
	memcpy(url, "listen=flash://", 15);
	url[7 + 128] = '\0';
	options[0] = url;
	assert_int_equal(read_options(NULL, options), -1);
	assert_string_equal(error, "-o listen: is longer than 127 bytes");
	assert_int_equal(read_text("listen = flash://*:1\nlisten = flash://*:1"), -1);
	assert_string_equal(error, "janus.ini:2: listen: flash://*:1 is there twice");
	assert_int_equal(read_text("listen = flash+unix:/a\nlisten = http+unix:/a"), -1);
	assert_string_equal(error, "janus.ini:2: listen: http+unix:/a has the same address as flash+unix:/a");
	snprintf(line, sizeof(line), "listen = flash+unix:/%0107d", 0);
	assert_int_equal(read_text(line), -1);
	snprintf(expected, sizeof(expected), "janus.ini:1: listen: the path `/%0107d` has 108 bytes; that of a Unix socket may have 107", 0);
	assert_string_equal(error, expected);
}

static void listen_many(void **state)
{
	static char text[(LISTENERS_MAX + 1) * 40];
	size_t n = 0;

	(void)state;
	for (unsigned i = 0; i < LISTENERS_MAX; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "listen = flash://127.0.0.1:%u\n", 1000 + i);
	assert_int_equal(read_text(text), 0);
	assert_int_equal(config.listeners, LISTENERS_MAX);
	assert_string_equal(config.listen[LISTENERS_MAX - 1].url, "flash://127.0.0.1:1063");
	snprintf(text + n, sizeof(text) - n, "listen = flash://127.0.0.1:999\n");
	assert_int_equal(read_text(text), -1);
	assert_string_equal(error, "janus.ini:65: listen: more than 64 addresses");
}

static void origins(void **state)
{
	static const char *const good[] = {
		"", "*", "https://example.org", "https://example.org:8443", "http://localhost:3000,http://127.0.0.1:1 , http://[::1]:65535",
		"http://[2001:db8::7]", "capacitor://localhost", "chrome-extension://abcdef", "HTTPS://Example.ORG * ,", "http://a_b.xn--bcher-kva.example.",
		"null", "https://*.example.org https://*.example.org:8443",
	};
#define NEITHER_ORIGIN " is neither `*` nor `null` nor of the form scheme://host or scheme://host:port"
#define NO_HOST " has no host name or address behind ://"
#define NO_PORT " has no port (1 to 65535) behind the :"
	static const struct {
		const char *value, *error;
	} bad[] = {
		{"example.org", "`example.org`" NEITHER_ORIGIN},
		{"**", "`**`" NEITHER_ORIGIN},
		{"://a", "`://a`" NEITHER_ORIGIN},
		{"1http://a", "`1http://a`" NEITHER_ORIGIN},
		{"ht_tp://a", "`ht_tp://a`" NEITHER_ORIGIN},
		{"https:example.org", "`https:example.org`" NEITHER_ORIGIN},
		{"https://a,https:/b", "`https:/b`" NEITHER_ORIGIN},
		{"https://a;https://b", "`https://a;https://b` has a path: an origin ends with host or port"},
		{"https://example.org/", "`https://example.org/` has a path: an origin ends with host or port"},
		{"https://example.org?x", "`https://example.org?x` has a path: an origin ends with host or port"},
		{"https://*.", "`https://*.`" NO_HOST},
		{"https://a.*.example.org", "`https://a.*.example.org`" NO_HOST},
		{"https://", "`https://`" NO_HOST},
		{"https://:80", "`https://:80`" NO_HOST},
		{"https://me@a", "`https://me@a`" NO_HOST},
		{"https://b\xc3\xbchler.example", "`https://b\xc3\xbchler.example`" NO_HOST},
		{"http://[::1", "`http://[::1`" NO_HOST},
		{"http://[", "`http://[`" NO_HOST},
		{"http://[]", "`http://[]`" NO_HOST},
		{"http://[::g]:80", "`http://[::g]:80`" NO_HOST},
		{"http://[::1]80", "`http://[::1]80`" NO_HOST},
		{"http://[1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20]", "`http://[1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20]`" NO_HOST},
		{"https://a:", "`https://a:`" NO_PORT},
		{"https://a:0", "`https://a:0`" NO_PORT},
		{"https://a:65536", "`https://a:65536`" NO_PORT},
		{"https://a:80x", "`https://a:80x`" NO_PORT},
		{"https://a:http://b", "`https://a:http://b` has a path: an origin ends with host or port"},
	};
	char option[400], expected[CONFIG_ERROR_MAX];
	const char *options[] = {option, NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(option, sizeof(option), "origins=%s", good[i]);
		if (read_options(NULL, options) < 0)
			fail_msg("%s: %s", option, error);
		assert_string_equal(config.settings.origins, good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(option, sizeof(option), "origins=%s", bad[i].value);
		if (read_options(NULL, options) == 0)
			fail_msg("taken: %s", option);
		snprintf(expected, sizeof(expected), "-o origins: %s", bad[i].error);
		assert_string_equal(error, expected);
	}
}

static void lists(void **state)
{
	char option[SETTINGS_LIST_MAX + 20];
	const char *options[] = {option, NULL};

	(void)state;
	/* as long as there is room, and one more */
	snprintf(option, sizeof(option), "origins=https://%04087d", 0);
	assert_int_equal(read_options(NULL, options), 0);
	assert_int_equal(strlen(config.settings.origins), SETTINGS_LIST_MAX - 1);
	snprintf(option, sizeof(option), "origins=https://%04088d", 0);
	assert_int_equal(read_options(NULL, options), -1);
	assert_string_equal(error, "-o origins: is longer than 4095 bytes");
	snprintf(option, sizeof(option), "hosts=a.example b.example:80");
	assert_int_equal(read_options(NULL, options), -1);
	assert_string_equal(error, "-o hosts: `b.example:80` is neither `*` nor a host name, without port, nor of the form *.domain");
	/* over several lines; an option replaces all of them */
	assert_int_equal(read_text("hosts = a.example,b.example\nheartbeat = 5\nhosts = *.c.example\norigins = null\nhosts = [::1]\n"), 0);
	assert_string_equal(config.settings.hosts, "a.example,b.example *.c.example [::1]");
	assert_string_equal(config.settings.origins, "null");
	snprintf(option, sizeof(option), "hosts=d.example");
	assert_int_equal(read_options("hosts = a.example\nhosts = b.example\n", options), 0);
	assert_string_equal(config.settings.hosts, "d.example");
}

/* Who can be reached by others says who may do what. */
static void listen_reached(void **state)
{
	static const struct {
		const char *url;
		bool reached;
	} cases[] = {
		{"http://127.0.0.1:80", false}, {"http://localhost:80", false}, {"http://127.255.0.9:80", false}, {"http://[::1]:80", false},
		{"http://[::ffff:127.0.0.1]:80", false}, {"http+unix:/a", false}, {"admin+unix:/a", false},
		{"http://*:80", true}, {"http://0.0.0.0:80", true}, {"http://[::]:80", true}, {"flash://126.0.0.1:80", true}, {"packet://128.0.0.1:80", true},
		{"admin://192.0.2.1:80", true}, {"http://[::2]:80", true}, {"http://[2001:db8::1]:80", true}, {"http://[::ffff:192.0.2.1]:80", true},
	};
	static const char *const who[] = {"anonymous = all", "anonymous = none", "anonymous = subscribe:public.*", "api_key = /keys", "token_keys = /keys", "tls_client_ca = /ca.pem\ntls_client_rights = none", "token_jwks_url = https://example.org/keys"};
	char text[300];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "listen = http://127.0.0.1:1\nlisten = %s\n", cases[i].url);
		assert_int_equal(read_text(text), cases[i].reached ? -1 : 0);
		snprintf(text, sizeof(text), "janus.ini:2: listen: %s can be reached by others, and everybody may do everything: ", cases[i].url);
		if (cases[i].reached)
			assert_memory_equal(error, text, strlen(text));
		for (size_t k = 0; k < sizeof(who) / sizeof(who[0]); k++) {
			snprintf(text, sizeof(text), "listen = %s\n%s\n", cases[i].url, who[k]);
			assert_int_equal(read_text(text), 0);
		}
	}
	assert_int_equal(read_options(NULL, (const char *[]){"listen=http://*:80", NULL}), -1);
	assert_memory_equal(error, "-o listen: http://*:80 can be", strlen("-o listen: http://*:80 can be"));
	/* who comes by a proxy comes from elsewhere */
	assert_int_equal(read_text("listen = http://127.0.0.1:1\ntrusted_proxies = 127.0.0.1\n"), -1);
	assert_non_null(strstr(error, "trusted_proxies: who comes by a proxy comes from elsewhere, and everybody may do everything: "));
	for (size_t k = 0; k < sizeof(who) / sizeof(who[0]); k++) {
		snprintf(text, sizeof(text), "listen = http://127.0.0.1:1\ntrusted_proxies = 127.0.0.1\n%s\n", who[k]);
		assert_int_equal(read_text(text), 0);
	}
	/* what admins may do needs no token */
	assert_int_equal(read_text("anonymous = none\nlisten = http://*:80\nlisten = admin://127.0.0.1:81\n"), 0);
	assert_null(config_reached_admin(&config));
	assert_int_equal(read_text("anonymous = none\nlisten = http://*:80\nlisten = admin://*:81\n"), 0);
	assert_ptr_equal(config_reached_admin(&config), &config.listen[1]);
	assert_int_equal(read_text("anonymous = none\ntls_certificate = /a /b\nlisten = admin+tls://*:81\ntls_client_ca = /c optional\n"), 0);
	assert_non_null(config_reached_admin(&config));
	assert_int_equal(read_text("anonymous = none\ntls_certificate = /a /b\nlisten = admin+tls://*:81\ntls_client_ca = /c\n"), 0);
	assert_null(config_reached_admin(&config));
}

#define CERTIFICATE "tls_certificate = /a.pem /b.pem\n"

static void tls(void **state)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{"listen = https://*:443\n", "janus.ini:1: listen: https://*:443 takes a certificate: tls_certificate = /PATH/CERT.pem /PATH/KEY.pem"},
		{"tls_certificate = /a.pem\n", "tls_certificate: a certificate lacks its key: they are pairs, CERT.pem KEY.pem"},
		{"tls_certificate = /a.pem b.pem\n", "janus.ini:1: tls_certificate: `b.pem` is not an absolute path"},
		{"tls_client_ca = ca.pem\n", "janus.ini:1: tls_client_ca: `ca.pem` is not an absolute path, with nothing or `optional` behind it"},
		{"tls_client_rights = all\n", "tls_client_rights: nobody has a certificate without tls_client_ca, the authorities that sign them"},
		{"tls_client_ca = /ca.pem\ntls_client_rights = everything\n", "janus.ini:2: tls_client_rights: `everything` is no rule: all, none, broadcast, or subscribe, publish, history, presence, login or send, a colon and a topic or user, like subscribe:public.*"},
		{"tls_client_ca = /ca.pem require\n", "janus.ini:1: tls_client_ca: `/ca.pem require` is not an absolute path, with nothing or `optional` behind it"},
	};
	static const struct {
		const char *value;
		int proto;
	} good[] = {
		{"https://*:443", PROTO_HTTP}, {"flash+tls://[::1]:1", PROTO_FLASH}, {"packet+tls://127.0.0.1:1", PROTO_PACKET}, {"admin+tls://127.0.0.1:1", PROTO_ADMIN},
	};
	char text[200], path[SETTINGS_TEXT_MAX];
	bool optional;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text), CERTIFICATE "anonymous = all\nlisten = %s slow=latest\n", good[i].value);
		assert_int_equal(read_text(text), 0);
		assert_int_equal(config.listen[0].proto, good[i].proto);
		assert_true(config.listen[0].tls);
		assert_string_equal(config.listen[0].url, good[i].value);
	}
	assert_int_equal(read_text("anonymous = all\nlisten = http://*:443\n"), 0);
	assert_false(config.listen[0].tls);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(read_text(bad[i].text), -1);
		assert_string_equal(error, bad[i].error);
	}
	assert_int_equal(config_tls_pairs("/a /b, /c  /d"), 2);
	config_client_ca("/ca.pem", path, &optional);
	assert_string_equal(path, "/ca.pem");
	assert_false(optional);
	config_client_ca("/ca.pem  optional", path, &optional);
	assert_string_equal(path, "/ca.pem");
	assert_true(optional);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listen_good),
		cmocka_unit_test(listen_good_paths),
		cmocka_unit_test(listen_slow),
		cmocka_unit_test(listen_same),
		cmocka_unit_test(listen_bad),
		cmocka_unit_test(listen_many),
		cmocka_unit_test(origins),
		cmocka_unit_test(lists),
		cmocka_unit_test(listen_reached),
		cmocka_unit_test(tls),
	};

	return cmocka_run_group_tests_name("config_listen", tests, setup, teardown);
}
