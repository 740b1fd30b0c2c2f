/*
 * janusctl token: makes a token for trying, with the secret of the setting token_keys, or a key that is named. No server is asked.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "master/ctl/ctl.h"
#include "proto/jwt.h"
#include "proto/rights.h"

#define EXPIRE_SECONDS 3600

/* Adds the keys of a file. 0, or the status. */
static int read_keys(struct jwt_keys *keys, const char *path)
{
	FILE *f = fopen(path, "re");
	char *bytes = malloc(JWT_KEYS_FILE_MAX + 1), why[JWT_KEYS_ERROR_MAX];
	size_t len = f && bytes ? fread(bytes, 1, JWT_KEYS_FILE_MAX + 1, f) : 0;
	bool failed = !f || !bytes || ferror(f);

	if (failed)
		snprintf(why, sizeof(why), "%s", strerror(errno));
	else
		failed = jwt_keys_add(keys, bytes, len, why) < 0;
	if (failed)
		fprintf(stderr, "janusctl: %s: %s\n", path, why);
	if (bytes)
		explicit_bzero(bytes, len);
	free(bytes);
	if (f)
		fclose(f);
	return failed ? EXIT_REFUSED : EXIT_DONE;
}

/* Those of --key, or of the configuration. */
static int find_keys(const struct ctl_arguments *args, const struct settings *settings, struct jwt_keys *keys)
{
	const char *list = settings->token_keys;
	char path[SETTINGS_TEXT_MAX];
	int rc = EXIT_DONE;

	if (args->option[CTL_KEY])
		return read_keys(keys, args->option[CTL_KEY]);
	if (!*list) {
		fprintf(stderr, "janusctl: the configuration has no token_keys: name a secret's file, or a private key, with --key\n");
		return EXIT_REFUSED;
	}
	while (rc == EXIT_DONE && config_list_next(&list, path, sizeof(path)))
		rc = read_keys(keys, path);
	return rc;
}

/* A list's items as an array. */
static json_t *items(const char *list)
{
	json_t *array = json_array();
	char item[SETTINGS_TEXT_MAX];

	while (list && config_list_next(&list, item, sizeof(item)))
		json_array_append_new(array, json_string(item));
	return array;
}

/* The first of a setting's items, if there is one. */
static void put_first(json_t *claims, const char *name, const char *list)
{
	char item[SETTINGS_TEXT_MAX];

	if (config_list_next(&list, item, sizeof(item)))
		json_object_set_new(claims, name, json_string(item));
}

static json_t *make_claims(const struct ctl_arguments *args, const struct settings *settings, uint64_t seconds)
{
	const char *const *o = args->option;
	json_t *claims = json_object(), *cap = json_object();
	int64_t now = time(NULL);

	if (o[CTL_SUB])
		json_object_set_new(claims, "sub", json_string(o[CTL_SUB]));
	json_object_set_new(claims, "iat", json_integer(now));
	json_object_set_new(claims, "exp", json_integer(now + (int64_t)seconds));
	put_first(claims, "aud", settings->token_audience);
	put_first(claims, "iss", settings->token_issuer);
	if (o[CTL_CHANNELS])
		json_object_set_new(cap, "channels", items(o[CTL_CHANNELS]));
	if (o[CTL_USERS])
		json_object_set_new(cap, "users", items(o[CTL_USERS]));
	if (json_object_size(cap) > 0) {
		json_object_set_new(cap, "allow", items(o[CTL_ALLOW] ? o[CTL_ALLOW] : "sub,pub,hst,prs"));
		json_object_set_new(claims, "caps", json_pack("[O]", cap));
	}
	json_decref(cap);
	return claims;
}

/* What the server would make of it. The status. */
static int check(struct jwt_keys *keys, const struct settings *settings, const char *token)
{
	const struct jwt_options options = { .audience = settings->token_audience, .issuer = settings->token_issuer };
	static char block[RIGHTS_SIZE_MAX];
	const char *error;
	size_t size;

	if (jwt_verify(keys, token, strlen(token), time(NULL), &options, block, sizeof(block), &size, &error) == JWT_ACCEPTED)
		return EXIT_DONE;
	fprintf(stderr, "janusctl: the server would refuse it: %s\n", error);
	return EXIT_REFUSED;
}

static int print(struct jwt_keys *keys, const struct settings *settings, const json_t *claims, bool json)
{
	char *text = json_dumps(claims, JSON_COMPACT), *token;
	const char *error = "there is no memory";
	int rc;

	token = text ? jwt_sign(keys, text, strlen(text), &error) : NULL;
	free(text);
	if (!token) {
		fprintf(stderr, "janusctl: %s\n", error);
		return EXIT_REFUSED;
	}
	rc = check(keys, settings, token);
	if (rc == EXIT_DONE)
		printf(json ? "{\"token\":\"%s\"}\n" : "%s\n", token);
	free(token);
	return rc;
}

int ctl_token(const struct ctl_arguments *args)
{
	static struct config config;
	struct config_source source = args->source;
	char error[CONFIG_ERROR_MAX];
	struct jwt_keys *keys;
	uint64_t seconds = EXPIRE_SECONDS;
	json_t *claims;
	int rc;

	source.find = false;
	if (args->option[CTL_EXPIRE] && !ctl_span(args->option[CTL_EXPIRE], &seconds)) {
		fprintf(stderr, "janusctl: --expire takes so long from now: 30s, 10m, 2h, 1d\n");
		return EXIT_USAGE;
	}
	if (config_read(&config, &source, error) < 0) {
		fprintf(stderr, "janusctl: %s\n", error);
		return EXIT_REFUSED;
	}
	if (args->option[CTL_ALLOW] && !args->option[CTL_CHANNELS] && !args->option[CTL_USERS]) {
		fprintf(stderr, "janusctl: --allow is for the topics of --channels and the users of --users: without these it allows nothing\n");
		return EXIT_USAGE;
	}
	keys = jwt_keys_create();
	if (!keys) {
		fprintf(stderr, "janusctl: %s\n", strerror(errno));
		return EXIT_REFUSED;
	}
	rc = find_keys(args, &config.settings, keys);
	if (rc == EXIT_DONE) {
		claims = make_claims(args, &config.settings, seconds);
		rc = print(keys, &config.settings, claims, args->json);
		json_decref(claims);
	}
	jwt_keys_destroy(keys);
	return rc;
}
