// The side of the window where a model is picked: the files that are there, what one of them takes
// of the machine's memory, and how far its opening is.
#pragma once

#include <QComboBox>
#include <QLabel>
#include <QListWidget>
#include <QProgressBar>
#include <QPushButton>
#include <QWidget>
#include <nibble.hpp>

#include "memory_bar.h"

class ModelPanel : public QWidget {
  Q_OBJECT

 public:
  explicit ModelPanel(QWidget* parent = nullptr);
  void add_folder(const QString& folder);
  /// Adds the file if it is not there, and selects it.
  void select(const QString& path);
  void set_theme(const Theme& theme);
  void show_progress(int percent);  // below 0: nothing is opened
  void show_opened(const QString& path);
  QString path() const;
  int context_size() const;

 signals:
  void open_asked(const QString& path, int context_size);
  void theme_asked(bool dark);

 private:
  void pick_file();
  void show_plan();

  nibble::Env env_{{"threads", "1"}};  // only looks at files
  QListWidget* list_;
  QLabel* facts_;
  QLabel* legend_;
  QLabel* verdict_;
  MemoryBar* bar_;
  QComboBox* context_;
  QPushButton* open_;
  QProgressBar* progress_;
  QPushButton* theme_;
  QString opened_;
  Theme colours_ = Theme::light();
};
