// The model's side of the app. Everything that takes time happens in one thread of its own, and
// comes back as signals; stop() may be called from any thread and takes effect within 50 ms.
#pragma once

#include <QObject>
#include <QString>
#include <QThread>
#include <atomic>
#include <mutex>
#include <nibble.hpp>
#include <optional>

class ChatEngine : public QObject {
  Q_OBJECT

 public:
  ChatEngine();
  /// Stops what runs and waits for it.
  ~ChatEngine() override;

  void open(const QString& path, int context_size);
  /// Answers the conversation; pieces come as they are made.
  void ask(const nibble::Messages& messages, const nibble::Options& options);
  void stop();

 signals:
  void opening(int percent);
  void opened(const QString& description, bool chats);
  void open_failed(const QString& message, const QString& hint);
  void piece(const QString& text);
  void thought(const QString& text);
  void answered(const nibble::Result& result);
  void answer_failed(const QString& message, const QString& hint);

 private:
  void open_now(const std::string& path, int context_size);
  void ask_now(const nibble::Messages& messages, const nibble::Options& options);

  QThread thread_;
  QObject worker_;  // lives in thread_: what is invoked on it runs there
  nibble::Env env_;
  nibble::Cancel cancel_{env_};
  std::atomic<int> stops_{0};  // requests, also those made before a job has begun
  std::mutex mutex_;           // of session_ itself; cancel() needs no lock
  std::optional<nibble::Model> model_;
  std::optional<nibble::Session> session_;
};
