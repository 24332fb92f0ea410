// The window: models at the left, the conversation at the right, what is typed below it.
#pragma once

#include <QLabel>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QWidget>
#include <memory>

#include "chat_engine.h"
#include "chat_view.h"
#include "model_panel.h"

class ChatWindow : public QWidget {
  Q_OBJECT

 public:
  /// options: of every answer, as nibble_session_set takes them.
  explicit ChatWindow(const nibble::Options& options);
  void add_models(const QString& folder) { panel_->add_folder(folder); }
  void open(const QString& path);
  void set_dark(bool dark);
  bool ready() const { return ready_; }
  bool answering() const { return answering_; }
  int pieces() const { return pieces_; }

 signals:
  void state_changed();

 protected:
  void closeEvent(QCloseEvent* event) override;
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  void build();
  void listen();
  void send();
  void end(const QString& note);
  void start_again();
  void update_buttons();

  nibble::Options options_;
  nibble::Messages messages_;
  std::string answer_;
  bool ready_ = false;
  bool answering_ = false;
  int pieces_ = 0;
  ModelPanel* panel_;
  ChatView* view_;
  QLabel* name_;
  QLabel* status_;
  QPlainTextEdit* edit_;
  QPushButton* send_;
  QPushButton* stop_;
  QPushButton* fresh_;
  std::unique_ptr<ChatEngine> engine_;
};
