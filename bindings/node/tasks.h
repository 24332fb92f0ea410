/* What takes its time: calls made by a thread of libuv's pool, which settle a promise. */
#pragma once

#include "values.h"

/* Arguments, as JavaScript has them (index.js checks them):
 * open(env, cancel, path, options, progress), verify(env, cancel, path, progress),
 * quantize(env, cancel, in, out, type, options, progress),
 * convert(env, cancel, in, out, options, progress), chatBegin(session, messages),
 * completeBegin(session, text), next(session), evaluate(session, tokens, progress),
 * save(session, path), load(session, path), inspect(env, path, options),
 * embed(model, cancel, texts, options, progress) */
napi_value task_open(napi_env env, napi_callback_info info);
napi_value task_verify(napi_env env, napi_callback_info info);
napi_value task_quantize(napi_env env, napi_callback_info info);
napi_value task_convert(napi_env env, napi_callback_info info);
napi_value task_chat_begin(napi_env env, napi_callback_info info);
napi_value task_complete_begin(napi_env env, napi_callback_info info);
napi_value task_next(napi_env env, napi_callback_info info);
napi_value task_evaluate(napi_env env, napi_callback_info info);
napi_value task_save(napi_env env, napi_callback_info info);
napi_value task_load(napi_env env, napi_callback_info info);
napi_value task_inspect(napi_env env, napi_callback_info info);
napi_value task_embed(napi_env env, napi_callback_info info);

/* What the session does, or is about to do, ends soon. */
void stop_session(Holder* session);

/* For this environment of JavaScript: its end cancels what runs. */
int tasks_init(napi_env env);
