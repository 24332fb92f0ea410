#include "chat_engine.h"

ChatEngine::ChatEngine() {
  qRegisterMetaType<nibble::Result>();
  worker_.moveToThread(&thread_);
  thread_.start();
}

ChatEngine::~ChatEngine() {
  stop();
  thread_.quit();
  thread_.wait();
}

void ChatEngine::open(const QString& path, int context_size) {
  const int asked = stops_;
  QMetaObject::invokeMethod(
      &worker_,
      [this, asked, context_size, file = path.toStdString()] {
        if (asked == stops_) open_now(file, context_size);
      },
      Qt::QueuedConnection);
}

void ChatEngine::ask(const nibble::Messages& messages, const nibble::Options& options) {
  const int asked = stops_;
  QMetaObject::invokeMethod(
      &worker_,
      [this, asked, messages, options] {
        if (asked == stops_) {
          ask_now(messages, options);
        } else {
          nibble::Result nothing = NIBBLE_RESULT_INIT;
          nothing.finish = NIBBLE_FINISH_CANCELLED;
          emit answered(nothing);
        }
      },
      Qt::QueuedConnection);
}

void ChatEngine::stop() {
  ++stops_;
  cancel_.request();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (session_) session_->cancel();
}

void ChatEngine::open_now(const std::string& path, int context_size) {
  const int begun = stops_;
  int shown = -1;
  try {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      session_.reset();
    }
    model_.reset();
    cancel_.reset();
    const auto progress = [&](const nibble::Event& event) {
      const int percent = event.total > 0 ? static_cast<int>(100 * event.done / event.total) : 0;
      if (percent != shown) emit opening(shown = percent);
      return begun == stops_;
    };
    model_.emplace(env_, path, nibble::Options(), nibble::Job{progress, &cancel_});
    nibble::Session session(*model_,
                            {{"ctx-size", std::to_string(context_size)}, {"overflow", "drop"}});
    const nibble::ModelInfo info = model_->info();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      session_.emplace(std::move(session));
    }
    emit opened(QString::fromUtf8(info.description), info.has_chat_template != 0);
  } catch (const nibble::Error& error) {
    if (error.status() != NIBBLE_CANCELLED) {
      emit open_failed(error.what(), QString::fromStdString(error.hint()));
    }
  }
}

void ChatEngine::ask_now(const nibble::Messages& messages, const nibble::Options& options) {
  const int begun = stops_;
  if (!session_) return;
  try {
    for (const nibble::Option& option : options) session_->set(option.name, option.value);
    const nibble::Result result = session_->chat(messages, [&](const nibble::Event& event) {
      const auto size = static_cast<qsizetype>(event.text.size());
      if (event.kind == NIBBLE_EVENT_TEXT) emit piece(QString::fromUtf8(event.text.data(), size));
      if (event.kind == NIBBLE_EVENT_REASONING) {
        emit thought(QString::fromUtf8(event.text.data(), size));
      }
      return begun == stops_;
    });
    emit answered(result);
  } catch (const nibble::Error& error) {
    emit answer_failed(error.what(), QString::fromStdString(error.hint()));
  }
}
